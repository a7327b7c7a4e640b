"""Fetching a deploy checks the user's right to it, as `projects/access.py` does for projects."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from core.errors import Refused
from deployments.models import Deploy
from people.sessions import user_of
from projects.access import check, held_role, require_current, visible_filter
from projects.models import Role


def deploy_for(user: Any, number: int, need: Role = Role.VIEWER) -> Deploy:
    """The deploy with its environment, project and release. Raises Http404 when the user may not see it, Refused when
    their role is below `need`, or the environment is archived and `need` is more than to see it."""
    rows = Deploy.objects.filter(visible_filter(user), number=number)
    deploy = rows.select_related(
        "environment__project", "environment__cluster", "release", "rolls_back_to", "undoes"
    ).defer("release__objects_compressed").first()  # fmt: skip
    if deploy is None:
        raise Http404("No such deploy.")
    environment = deploy.environment
    check(held_role(user, environment.project, environment), need, environment.project)
    if need != Role.VIEWER:
        require_current(environment.project, environment)
    return deploy


def may_still_see(session_key: str | None, number: int) -> bool:
    """Whether the person of a session is still signed in and may still see the deploy."""
    user = user_of(session_key)
    try:
        return user is not None and bool(deploy_for(user, number))
    except (Http404, Refused):
        return False
