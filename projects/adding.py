"""Adds a single variable to an environment, for pages that name one which is missing."""

from __future__ import annotations

from django.db import transaction

from audit.actors import Actor
from core.errors import Refused
from projects.access import require_project
from projects.models import Environment, Role
from projects.services import change_environment


@transaction.atomic
def add_variable(
    actor: Actor, *, environment: Environment, name: str, value: str, kind: str = "string"
) -> bool:
    """Gives an environment one more variable. Returns whether it is new: the same one again is no error. Raises Refused (role,
    exists: it has another value already), and ValidationError for a name, type or value that cannot be."""
    require_project(actor, environment.project, Role.MAINTAINER)
    fresh = Environment.objects.select_for_update().select_related("project").get(pk=environment.pk)
    wanted = {"name": name, "value": value, "type": kind}
    known = next((row for row in fresh.variables if row["name"] == name), None)
    if known == wanted:
        return False
    if known is not None:
        raise Refused(
            f"{name} has a value in {fresh.name} already; nothing was changed.",
            hint="Change it in the environment’s settings.",
            code="exists",
        )
    change_environment(actor, environment=fresh, edited=fresh.edited, variables=[*fresh.variables, wanted])
    return True
