"""The form in which a person takes over what was read from a repository: environments with their variables and secrets files, and
images. Four formsets side by side; a row of the inner kinds names the folder of its environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from projects.models import Cluster, Project, Registry
from projects.pages.proposal_rows import (
    MOST_FILES,
    MOST_VARIABLES,
    EnvironmentRow,
    EnvironmentRows,
    FileRow,
    FileRows,
    ImageRows,
    Ticked,
    VariableRow,
    VariableRows,
)
from projects.reading.accepting import (
    ENVIRONMENT,
    FILE,
    IMAGE,
    ChosenEnvironment,
    ChosenFile,
    ChosenImage,
    Row,
)
from projects.reading.proposing import Proposed, ProposedEnvironment, usual_cluster


@dataclass(frozen=True)
class Card:
    """An environment's row with the rows of its variables and secrets files."""

    form: EnvironmentRow
    variables: tuple[VariableRow, ...]
    files: tuple[FileRow, ...]


class ProposalForm:
    """All rows. `data`: what was sent, or None for the proposals as they are."""

    def __init__(self, project: Project, proposed: Proposed, data: Any = None) -> None:
        self.project, self.proposed, self.is_bound = project, proposed, data is not None
        cluster = usual_cluster()
        self.environments = EnvironmentRows(
            data, initial=[_of_environment(one, cluster) for one in proposed.environments]
        )
        self.variables = VariableRows(data, initial=[*_of_variables(proposed)][:MOST_VARIABLES])
        self.files = FileRows(data, initial=[*_of_files(proposed)][:MOST_FILES])
        self.images = ImageRows(data, initial=[*_of_images(proposed)])
        self._annotate()

    @property
    def formsets(self) -> tuple[Any, ...]:
        """All of them, for their management forms."""
        return self.environments, self.variables, self.files, self.images

    def _annotate(self) -> None:
        """Puts beside each row what was read for it: a sent form names its rows by folder, name and path."""
        known = {one.folder: one for one in self.proposed.environments}
        for row in self.environments:
            row.found = known.get(row["config_directory"].value())
        for row in self.variables:
            of_folder = known.get(row["folder"].value())
            all_found = of_folder.manifests.variables if of_folder else ()
            row.found = next((one for one in all_found if one.name == row["name"].value()), None)
        for row in self.files:
            of_folder = known.get(row["folder"].value())
            files = of_folder.files if of_folder else ()
            row.found = next((one for one in files if one.path == row["path"].value()), None)

    def cards(self) -> Iterator[Card]:
        """The environments, each with its rows."""
        for form in self.environments:
            folder = form["config_directory"].value()
            yield Card(
                form,
                tuple(row for row in self.variables if row["folder"].value() == folder),
                tuple(row for row in self.files if row["folder"].value() == folder),
            )

    def is_valid(self) -> bool:
        """Whether every ticked row is well formed, and none stands in another one's way. All errors are at their fields."""
        for formset in self.formsets:
            formset.is_valid()
        if not self.wrong():
            self._refuse_clashes()
        return not self.wrong()

    def wrong(self) -> int:
        """The number of rows with an error, of those that count."""
        return sum(bool(row.errors) for row in self._counting()) + sum(
            bool(formset.non_form_errors()) for formset in self.formsets
        )

    def _counting(self) -> Iterator[Ticked]:
        yield from (form for form in (*self.environments, *self.images) if form.is_taken)
        yield from self._rows_of_taken(self.variables)
        yield from self._rows_of_taken(self.files)

    def _rows_of_taken(self, rows: Any) -> Iterator[Any]:
        """The ticked rows whose environment is ticked, too."""
        taken = {form["config_directory"].value() for form in self.environments if form.is_taken}
        return (row for row in rows if row.is_taken and row["folder"].value() in taken)

    def _refuse_clashes(self) -> None:
        places: dict[tuple[Any, Any], str] = {}
        rows = self.project.environments.values_list("slug", "config_directory", "archived_at")
        slugs = {(slug, "" if archived else folder) for slug, folder, archived in rows}
        for form in filter(lambda one: one.is_taken and not one.errors, self.environments):
            data = form.cleaned_data
            if any(slug == data["slug"] and folder != data["config_directory"] for slug, folder in slugs):
                form.add_error("slug", f"There is an environment “{data['slug']}” already.")
            slugs.add((data["slug"], data["config_directory"]))
            other = places.setdefault((data["cluster"].pk, data["namespace"]), data["name"])
            if other != data["name"]:
                form.add_error(
                    "namespace",
                    f"{other} has this namespace, too: objects of the same name would overwrite each other.",
                )
        images = self.project.images.values_list("name", "dockerfile", "archived_at")
        names = {(name, "" if archived else file) for name, file, archived in images}
        for form in filter(lambda one: one.is_taken and not one.errors, self.images):
            data = form.cleaned_data
            if any(name == data["name"] and file != data["dockerfile"] for name, file in names):
                form.add_error("name", f"There is an image “{data['name']}” already.")
            names.add((data["name"], data["dockerfile"]))

    def chosen_environments(self) -> list[ChosenEnvironment]:
        """The ticked environments, for the service."""
        found = []
        for number, form in enumerate(self.environments):
            if form.is_taken:
                values = {name: value for name, value in form.cleaned_data.items() if name != "take"}
                folder = values["config_directory"]
                found.append(
                    ChosenEnvironment(
                        number, **values, variables=self._variables(folder), files=self._files(folder)
                    )
                )
        return found

    def _variables(self, folder: str) -> list[dict[str, str]]:
        rows = (row.cleaned_data for row in self._rows_of_taken(self.variables))
        return [
            {"name": row["name"], "value": row["value"], "type": row["type"]}
            for row in rows
            if row["folder"] == folder
        ]

    def _files(self, folder: str) -> list[ChosenFile]:
        numbers = {id(row): number for number, row in enumerate(self.files)}
        return [
            ChosenFile(
                numbers[id(row)], *(row.cleaned_data[name] for name in ("path", "secret_id", "region"))
            )
            for row in self._rows_of_taken(self.files)
            if row.cleaned_data["folder"] == folder
        ]

    def chosen_images(self) -> list[ChosenImage]:
        """The ticked images, for the service."""
        return [
            ChosenImage(
                number, **{name: value for name, value in form.cleaned_data.items() if name != "take"}
            )
            for number, form in enumerate(self.images)
            if form.is_taken
        ]

    def refuse(self, problems: dict[Row, ValidationError]) -> None:
        """Puts the service's errors at their fields."""
        formsets = {ENVIRONMENT: self.environments, FILE: self.files, IMAGE: self.images}
        for (kind, number), error in problems.items():
            form = formsets[kind][number]
            texts = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            for name, messages in texts.items():
                for message in messages:
                    form.add_error(name if name in form.fields else None, message)


def _of_environment(one: ProposedEnvironment, cluster: Cluster | None) -> dict[str, Any]:
    return {
        "take": one.is_likely, "config_directory": one.folder, "name": one.name, "slug": one.slug,
        "cluster": cluster, "namespace": one.namespace, "is_production": one.is_production,
        "pull_secret": one.pull_secret,
    }  # fmt: skip


def _of_variables(proposed: Proposed) -> Iterator[dict[str, Any]]:
    for one in proposed.environments:
        for found in one.manifests.variables:
            yield {"take": True, "folder": one.folder, "name": found.name, "type": found.kind}


def _of_files(proposed: Proposed) -> Iterator[dict[str, Any]]:
    for one in proposed.environments:
        for file in one.files:
            yield {"take": True, "folder": one.folder, "path": file.path, "secret_id": file.secret_id,
                   "region": proposed.region}  # fmt: skip


def _of_images(proposed: Proposed) -> Iterator[dict[str, Any]]:
    registries = list(Registry.objects.current()[:2])
    for one in proposed.images:
        yield {
            "take": bool(registries), "dockerfile": one.dockerfile, "context": one.context, "name": one.name,
            "repository": one.repository, "registry": registries[0] if len(registries) == 1 else None,
        }  # fmt: skip
