"""Checks, where something outside is read or written, that it is still allotted: an admin may have given it to another project
since the setting was saved. Deploys have a check of their own, with all problems at once (deployments/preparation/scope.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.errors import Denied
from people.services import admins_text
from projects.allotting.rules import not_allotted, uncovered
from projects.allotting.wishes import Wish, of_place, of_secret, once
from projects.models import Environment, Project, SecretsFile


class NotAllotted(Denied):
    """A setting names something that is not allotted to its project any more. Nothing was read or changed."""

    code = "not-allotted"


def require_still(project: Project, wishes: Sequence[Wish]) -> None:
    """Raises NotAllotted, with a sentence for a page, when the project may not use one of these any more."""
    missing = not_allotted(project, once(wishes))
    if missing:
        raise NotAllotted(withdrawn(project, missing[0]), system="Slipway", hint=ask_an_admin())


def withdrawn(project: Project, wish: Wish) -> str:
    """What is not allotted any more, as a sentence."""
    return f"{wish.what[0].upper()}{wish.what[1:]} is not allotted to {project.name} any more."


def ask_an_admin() -> str:
    """The hint that goes with it."""
    admins = admins_text()
    whom = f" ({admins})" if admins else ""
    return f"Nothing was read from it. Ask an admin{whom} to allot it again, or change the setting."


def lost_files(files: Sequence[SecretsFile]) -> dict[int, str]:
    """Why secrets files may not be read any more, by their pk; those that may are left out. One query; the files come with their
    environment and its project."""
    wishes = {file.pk: of_secret(file.secret_id, file.role_arn) for file in files}
    gone = uncovered((file.environment.project_id, wish) for file in files for wish in wishes[file.pk])
    found = {}
    for file in files:
        project = file.environment.project
        missing = [wish for wish in wishes[file.pk] if (project.pk, wish) in gone]
        if missing:
            found[file.pk] = f"{withdrawn(project, missing[0])} {ask_an_admin()}"
    return found


def lost_places(environments: Iterable[Environment]) -> dict[int, str]:
    """Why the namespaces of environments may not be read or written any more, by the environment's pk; one query. The
    environments come with cluster and project."""
    wishes = {one.pk: (one, of_place(one.cluster, one.namespace)[0]) for one in environments}
    gone = uncovered((one.project_id, wish) for one, wish in wishes.values())
    return {
        pk: withdrawn(one.project, wish)
        for pk, (one, wish) in wishes.items()
        if (one.project_id, wish) in gone
    }
