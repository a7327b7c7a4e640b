"""Fetching a build checks the user's right to it, as `projects/access.py` does for projects."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from builds.models import Build
from core.errors import Refused
from people.sessions import user_of
from projects.access import check, held_role, require_current, visible_filter
from projects.models import Role

RELATED = ("project", "delivery", "retry_of", "superseded_by")


def build_for(user: Any, number: int, need: Role = Role.VIEWER) -> Build:
    """The build with its project. Raises Http404 when the user may not see it, Refused when their role is below `need`."""
    rows = Build.objects.filter(visible_filter(user, "project"), number=number)
    build = rows.select_related(*RELATED).first()
    if build is None:
        raise Http404("No such build.")
    if need != Role.VIEWER:
        check(held_role(user, build.project), need, build.project)
        require_current(build.project)
    return build


def may_still_see(session_key: str | None, number: int) -> bool:
    """Whether the person of a session is still signed in and may still see the build."""
    user = user_of(session_key)
    try:
        return user is not None and bool(build_for(user, number))
    except (Http404, Refused):
        return False
