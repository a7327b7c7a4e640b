"""Allotting: what admins do, and the check that every change of settings goes through. Each change is audited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from django.core.exceptions import ValidationError
from django.db import transaction

from audit.actors import Actor
from core.errors import Refused
from people.services import admins_text, require_admin
from projects import editing
from projects.allotting.rules import not_allotted
from projects.allotting.uses import left_without, proposals
from projects.allotting.wishes import Kind, Wish, of_git, once
from projects.models import Allotment, Cluster, Environment, Project, Registry

_PLAIN = re.compile(r"[^\x00-\x20\x7f]+")
OF_ENVIRONMENTS = (Kind.OBJECTS_IN, Kind.OBJECTS_OF)


@transaction.atomic
def allot(
    actor: Actor, *, project: Project, kind: str, pattern: str, cluster: Cluster | None = None,
    registry: Registry | None = None, environment: Environment | None = None,
) -> Allotment:  # fmt: skip
    """Allots something to a project, or to one environment. An allotment that exists is returned as it is. Raises Refused
    unless the actor is an admin, and ValidationError by field."""
    require_admin(actor)
    _check(project, kind, pattern, cluster, registry, environment)
    return _made(actor, project, kind, pattern, cluster, registry, environment)


def _made(
    actor: Actor, project: Project, kind: str, pattern: str, cluster: Cluster | None = None,
    registry: Registry | None = None, environment: Environment | None = None,
) -> Allotment:  # fmt: skip
    Project.objects.select_for_update().get(pk=project.pk)  # two requests at once make one row
    row = Allotment(
        project=project, environment=environment, kind=kind, cluster=cluster, registry=registry, pattern=pattern
    )  # fmt: skip
    same = Allotment.objects.filter(
        project=project, environment=environment, kind=kind, cluster=cluster, registry=registry, pattern=pattern
    ).first()  # fmt: skip
    return same or editing.create(
        actor, row, verb="allotment.made", text=f"{project.name}: {row}", project=project.slug
    )


def _check(
    project: Project, kind: str, pattern: str, cluster: Cluster | None, registry: Registry | None,
    environment: Environment | None,
) -> None:  # fmt: skip
    """Raises ValidationError for a pattern that allots everything, or a kind without what belongs to it."""
    problems: dict[str, str] = {}
    if not _PLAIN.fullmatch(pattern):
        problems["pattern"] = "Write a name, with * for any text, without spaces."
    elif not pattern.replace("*", "").strip("/-._:"):
        problems["pattern"] = "This would allot everything. Name at least a part of it."
    if (cluster is None) == (kind == Kind.NAMESPACE):
        problems["cluster"] = (
            "Choose the cluster of the namespace." if cluster is None else "Leave this empty."
        )
    if (registry is None) == (kind == Kind.REPOSITORY):
        problems["registry"] = (
            "Choose the registry of the repository." if registry is None else "Leave this empty."
        )
    if (environment is None) == (kind in OF_ENVIRONMENTS):
        problems["environment"] = (
            "Choose the environment of the objects." if environment is None else "Leave this empty."
        )
    elif environment is not None and environment.project_id != project.pk:
        problems["environment"] = "This environment belongs to another project."
    if problems:
        raise editing.refuse_field(**problems)


@transaction.atomic
def withdraw(actor: Actor, *, allotment: Allotment) -> None:
    """Withdraws an allotment. One that settings still need is kept: raises Refused, which names them."""
    require_admin(actor)
    Project.objects.select_for_update().get(pk=allotment.project_id)
    if users := left_without(allotment):
        raise Refused(
            f"{allotment} is still used by {users[0]}"
            + (f" and {len(users) - 1} more." if users[1:] else "."),
            hint="Change or remove these settings first; nothing was withdrawn.",
            code="in-use",
        )
    editing.remove(
        actor, allotment, verb="allotment.withdrawn", text=f"{allotment.project.name}: {allotment}",
        project=allotment.project.slug,
    )  # fmt: skip


def allot_proposed(actor: Actor, project: Project) -> None:
    """Allots what projects usually own (`uses.proposals`), on every cluster and in every registry. Must run in the transaction
    of the change."""
    for kind, pattern in proposals(project.slug):
        clusters = Cluster.objects.current() if kind == Kind.NAMESPACE else [None]
        registries = Registry.objects.current() if kind == Kind.REPOSITORY else [None]
        for cluster, registry in product(clusters, registries):
            allot(actor, project=project, kind=kind, pattern=pattern, cluster=cluster, registry=registry)


def require(actor: Actor, project: Project, wishes: Sequence[Wish]) -> None:
    """Checks what a change of settings names. What an admin names is allotted to the project by that; for others it raises
    ValidationError at the field. Must run in the transaction of the change."""
    missing = not_allotted(project, once(wishes))
    if not missing:
        return
    if not _is_admin(actor):
        raise ValidationError({wish.field: [sentence(project, wish)] for wish in missing})
    for wish in missing:
        cluster = Cluster.objects.get(pk=wish.cluster) if wish.cluster else None
        registry = Registry.objects.get(pk=wish.registry) if wish.registry else None
        _made(actor, project, wish.kind, wish.value, cluster, registry)


def allot_address(actor: Actor, project: Project, url: str) -> None:
    """Allots a repository's address for the stored credential. Called when a person enters a credential together with its
    address: who has both is entitled to both. Must run in the transaction of the change."""
    if not_allotted(project, of_git(url)):
        _made(actor, project, Kind.GIT, url)


def refusals(actor: Actor, project: Project, wishes: Sequence[Wish]) -> dict[str, str]:
    """What `require` would refuse, by field. For forms, which ask this before they try anything outside."""
    if _is_admin(actor):
        return {}
    return {wish.field: sentence(project, wish) for wish in not_allotted(project, once(wishes))}


def sentence(project: Project, wish: Wish) -> str:
    """Why a value is refused, and who can help."""
    admins = admins_text()
    ask = f" Ask an admin ({admins}) to allot it." if admins else " Ask an admin to allot it."
    return f"{wish.what[0].upper()}{wish.what[1:]} is not allotted to {project.name}.{ask}"


def _is_admin(actor: Actor) -> bool:
    try:
        require_admin(actor)
    except Refused:
        return False
    return True
