"""What uses an allotment: the settings, in sentences, that would lack it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from projects.allotting.rules import fits, uncovered
from projects.allotting.wishes import Wish, of_place, of_project, of_repository, of_secret
from projects.current import current_environments
from projects.models import Allotment, Environment, Image, Project, SecretsFile


@dataclass(frozen=True)
class Use:
    """One setting that names something outside. `text`: the setting, for a sentence."""

    project: int
    text: str
    wish: Wish


_further: list[Callable[[Project | None], Iterator[Use]]] = []


def register(further: Callable[[Project | None], Iterator[Use]]) -> None:
    """For apps above this one (`AppConfig.ready`): their settings that name something outside, of one project or of all."""
    if further not in _further:
        _further.append(further)


def uses(project: Project | None = None) -> Iterator[Use]:
    """Every setting that names something outside, of one project or of all, in a query for each kind of setting. Archived ones
    need nothing."""
    for further in _further:
        yield from further(project)
    of = {} if project is None else {"project": project}
    for one in Environment.objects.current().filter(**of).select_related("cluster"):
        for wish in of_place(one.cluster, one.namespace):
            yield Use(one.project_id, f"the environment {one.name}", wish)
    files = SecretsFile.objects.filter(
        current_environments(), **{f"environment__{name}": value for name, value in of.items()}
    )
    for file in files.select_related("environment"):
        for wish in of_secret(file.secret_id, file.role_arn):
            place = f"the secrets file {file.path} of {file.environment.name}"
            yield Use(file.environment.project_id, place, wish)
    for image in Image.objects.current().filter(**of).select_related("registry"):
        for wish in of_repository(image.registry, image.repository):
            yield Use(image.project_id, f"the image {image.name}", wish)
    for row in [project] if project is not None else Project.objects.current():
        for wish in of_project(row):
            yield Use(row.pk, "the repository of the project", wish)


def left_without(allotment: Allotment) -> list[str]:
    """The settings of its project that only this allotment covers. Objects beyond the namespace are judged by each deploy, so
    allotments for them can always be withdrawn."""
    if allotment.environment_id is not None:
        return []
    fitting = [use for use in uses(allotment.project) if fits(allotment, use.wish)]
    wanted = {(use.project, use.wish) for use in fitting}
    lost = uncovered(wanted, without=allotment) - uncovered(wanted)
    return [use.text for use in fitting if (use.project, use.wish) in lost]


def proposals(project_slug: str) -> list[tuple[str, str]]:
    """What a new project usually gets, by its short name: kinds and patterns."""
    kind = Allotment.Kind
    return [
        (kind.NAMESPACE, f"{project_slug}-*"),
        (kind.SECRET, f"{project_slug}/*"),
        (kind.SECRET, f"*/{project_slug}/*"),
        (kind.REPOSITORY, f"{project_slug}/*"),
    ]
