"""What can be archived here: projects, environments, images, clusters and registries. Rights, names, and locks."""

from __future__ import annotations

from django.http import Http404

from audit.actors import Actor
from people.services import require_admin
from projects.access import check, held_role
from projects.models import Cluster, Environment, Image, Project, Registry, Role

Thing = Project | Environment | Image | Cluster | Registry


def kind_of(thing: Thing) -> str:
    """The kind in a word, which is also the first word of the verbs of its audit."""
    return type(thing).__name__.lower()


def text_of(thing: Thing) -> str:
    """The name as audit events and sentences have it."""
    return f"{thing.project.name} {thing.name}" if isinstance(thing, Environment | Image) else thing.name


def project_of(thing: Thing) -> Project | None:
    """The project that the thing is, or belongs to."""
    if isinstance(thing, Project):
        return thing
    return thing.project if isinstance(thing, Environment | Image) else None


def may_manage(user: object, thing: Thing) -> bool:
    """Whether a person may archive, restore and remove the thing."""
    if isinstance(thing, Environment | Image):
        return held_role(user, thing.project) == Role.MAINTAINER
    return bool(getattr(user, "is_admin", False))


def require_right(actor: Actor, thing: Thing) -> None:
    """Raises Refused unless the actor may archive, restore and remove the thing: a maintainer of the project for environments
    and images, an admin for all else."""
    if isinstance(thing, Environment | Image):
        if actor.kind != "system":
            role = held_role(actor.user, thing.project) if actor.user is not None else None
            check(role, Role.MAINTAINER, thing.project)
    else:
        require_admin(actor)


def locked(thing: Thing) -> Thing:
    """The row, read anew under a lock that keeps away the gates of deploys (which lock the environment) and builds (the project).
    Locks are taken in the order project, environments, image, cluster or registry. Raises Http404 for one that is removed."""
    if isinstance(thing, Image):
        Project.objects.select_for_update().filter(pk=thing.project_id).first()
    row: Thing | None = type(thing).objects.select_for_update().filter(pk=thing.pk).first()
    if row is None:
        raise Http404("It was removed a moment ago.")
    if isinstance(row, Project):
        list(row.environments.select_for_update().order_by("pk").values_list("pk"))
    return row
