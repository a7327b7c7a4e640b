"""The secrets files of a project side by side: one column for each environment, as far as the person may see it.

Nothing is asked of AWS: what is known of the current versions is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from projects.access import roles_by_environment
from projects.allotting.using import lost_files
from projects.current import NOT_ARCHIVED
from projects.models import Environment, Project, SecretsFile
from projects.secret_rights import Right, covers
from secrets_ui.known.public import Key, Place, keys_of
from secrets_ui.known.reference import Reference, newest_references
from secrets_ui.known.secrets import current_versions, secrets_by_file
from secrets_ui.models import Secret, SecretVersion

VALUE_RIGHTS: tuple[Right, ...] = ("reveal", "edit")


@dataclass(frozen=True)
class Column:
    """A secrets file of one environment. `keys`: None where they are not known or not for this person to see.

    `reveals`, `edits`: what the person may do there. `wanted`: places of the reference file. `problem`: why there are no keys.
    """

    file: SecretsFile
    secret: Secret | None = None
    sees: bool = False
    reveals: bool = False
    edits: bool = False
    keys: Mapping[Place, Key] | None = None
    wanted: Mapping[Place, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def environment(self) -> Environment:
        """Whose file it is."""
        return self.file.environment

    @property
    def compares(self) -> bool:
        """Whether its values may take part in a comparison. Whoever compares can test a guess: they write it in an
        environment of theirs and see whether it is the same. So it is for those who may see or write the values anyway."""
        return self.reveals or self.edits


def columns_of(user: Any, project: Project) -> dict[str, list[Column]]:
    """The columns of each path, in the order of the environments. A fixed number of queries for any number of keys."""
    files = _files(project)
    lost = lost_files(files)
    known = secrets_by_file([file for file in files if file.pk not in lost])
    versions = current_versions(list(known.values()))
    environments = [file.environment for file in files]
    roles = roles_by_environment(user, environments)
    # A role on another environment lets its holder see names, but no value.
    own = roles_by_environment(user, environments, elsewhere=False)
    references = _references(files, known)
    found: dict[str, list[Column]] = {}
    for file in files:
        secret, sees = known.get(file.pk), covers(roles[file.environment_id], file.environment, "names")
        reveals, edits = (covers(own[file.environment_id], file.environment, right) for right in VALUE_RIGHTS)
        if file.pk in lost:
            found.setdefault(file.path, []).append(Column(file, None, sees, problem=lost[file.pk]))
            continue
        column = Column(file, secret, sees, reveals, edits)
        row = versions.get(secret.pk) if secret else None
        found.setdefault(file.path, []).append(_known(column, row, references[file.environment_id]))
    return found


def _references(files: Sequence[SecretsFile], known: Mapping[int, Secret]) -> dict[int, Reference]:
    """The reference files of each environment, by its pk."""
    arns: dict[int, dict[str, str]] = {}
    for file in files:
        held = arns.setdefault(file.environment_id, {})
        if file.pk in known:
            held[file.path] = known[file.pk].arn
    environments = {file.environment_id: file.environment for file in files}
    return newest_references([(environment, arns[pk]) for pk, environment in environments.items()])


def _files(project: Project) -> list[SecretsFile]:
    environments = {
        environment.pk: environment
        for environment in project.environments.filter(NOT_ARCHIVED)
        .order_by("order", "slug")
        .prefetch_related("secrets_files")
    }
    files = []
    for environment in environments.values():
        environment.project = project
        for file in environment.secrets_files.all():
            file.environment = environment
            files.append(file)
    return files


def _known(column: Column, row: SecretVersion | None, reference: Reference) -> Column:
    if not column.sees:
        return replace(column, problem="You may not see the names of its keys.")
    if column.secret is None or row is None:
        return replace(column, problem="Not seen in AWS yet.")
    if row.keys is None:
        return replace(column, problem=row.error or "Its current version was not read yet.")
    return replace(column, keys=keys_of(row.keys), wanted=reference.wanted.get(column.file.path, {}))
