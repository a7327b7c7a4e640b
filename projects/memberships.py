"""Grants and revokes roles on projects. Each function checks the right and writes the audit event in one transaction.

Both raise Refused (role too weak); `grant` also ValidationError (by field).
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from audit.actors import Actor
from audit.record import before_after
from people.models import User
from projects import editing
from projects.access import require_current, require_project
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


def _note_role(actor: Actor, membership: Membership, verb: str, data: dict[str, Any]) -> None:
    where = membership.environment.slug if membership.environment else ""
    editing.note(
        actor, membership, verb=verb, text=membership.project.name, project=membership.project.slug,
        data={"person": membership.user.username, "environment": where, **data},
    )  # fmt: skip
