"""Grants and revokes roles on projects. Each function checks the right and writes the audit event in one transaction.

All raise Refused (role too weak); `grant` also ValidationError (by field).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from audit.actors import Actor
from audit.record import before_after
from people.models import User
from projects import editing
from projects.access import archived, require_current, require_project
from projects.models import Environment, Membership, Project, Role


@transaction.atomic
def grant(
    actor: Actor, *, user: User, project: Project, role: str, environment: Environment | None = None
) -> Membership:
    """Grants a person a role on a project or on one of its environments. It replaces the person's role there."""
    require_project(actor, project, Role.MAINTAINER)
    if environment is not None and environment.project_id != project.pk:
        raise editing.refuse_field(environment="That environment belongs to another project.")
    require_current(project, environment)
    held = Membership.objects.select_for_update().filter(user=user, project=project, environment=environment)
    membership = held.first()
    before = membership.role if membership else ""
    if membership is None:
        membership = Membership(user=user, project=project, environment=environment)
    elif before == role:
        return membership
    membership.role = role
    membership.full_clean()
    membership.save()
    _note_role(actor, membership, "membership.granted", {"role": before_after(before, role)})
    return membership


@transaction.atomic
def revoke(actor: Actor, *, membership: Membership) -> None:
    """Revokes a role. A role that is already revoked is no error."""
    require_project(actor, membership.project, Role.MAINTAINER)
    pk = membership.pk
    if Membership.objects.filter(pk=pk).delete()[0]:
        membership.pk = pk
        _note_role(actor, membership, "membership.revoked", {"role": before_after(membership.role, "")})


@dataclass(frozen=True)
class Outcome:
    """What became of a change of many roles. `sentence`: in words. `differs`: the roles by project that another person changed
    meanwhile; where there are any, nothing was saved."""

    sentence: str
    differs: dict[int, str] = field(default_factory=dict)


@transaction.atomic
def set_roles(actor: Actor, *, user: User, wanted: Mapping[int, tuple[str, str]]) -> Outcome:
    """Sets a person's roles in whole projects: a project's key → the role that was seen, and the one to have (empty: none). All
    or nothing; each change is audited. Roles in single environments stay. Raises Refused."""
    if not user.is_active:
        raise archived(f"The account {user.username}")
    projects = list(Project.objects.filter(pk__in=wanted).order_by("name"))
    for project in projects:
        require_project(actor, project, Role.MAINTAINER)
    held = _held_in(user, projects)
    due = [one for one in projects if _role_in(held, one) != wanted[one.pk][1]]
    differs = {one.pk: _role_in(held, one) for one in due if _role_in(held, one) != wanted[one.pk][0]}
    if differs:
        names = ", ".join(
            f"{one.name} (now {_in_words(differs[one.pk])})" for one in due if one.pk in differs
        )
        return Outcome(
            f"Another person has changed roles of {user} meanwhile: {names}. Nothing was saved yet.", differs
        )
    for project in due:
        if role := wanted[project.pk][1]:
            grant(actor, user=user, project=project, role=role)
        else:
            revoke(actor, membership=held[project.pk])
    return Outcome(_changed(user, due))


def _held_in(user: User, projects: Sequence[Project]) -> dict[int, Membership]:
    rows = Membership.objects.select_for_update().filter(user=user, project__in=projects, environment=None)
    return {row.project_id: row for row in rows}


def _role_in(held: Mapping[int, Membership], project: Project) -> str:
    return held[project.pk].role if project.pk in held else ""


def _in_words(role: str) -> str:
    return Role(role).label.lower() if role else "no role"


def _changed(user: User, projects: Sequence[Project]) -> str:
    if not projects:
        return "Nothing was different, so nothing was changed."
    names = ", ".join(project.name for project in projects)
    return f"{user}'s role is changed in {names}."


def _note_role(actor: Actor, membership: Membership, verb: str, data: dict[str, Any]) -> None:
    where = membership.environment.slug if membership.environment else ""
    editing.note(
        actor, membership, verb=verb, text=membership.project.name, project=membership.project.slug,
        data={"person": membership.user.username, "environment": where, **data},
    )  # fmt: skip
