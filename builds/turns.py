"""Which waiting builds may start: of each project so many at once as its settings say, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Iterable

from builds.models import Build
from builds.stored import build_settings
from projects.models import Project
from runs.models import ACTIVE, State


def at_once(project_id: int) -> int:
    """How many builds of the project may run together."""
    return build_settings(project_id).at_once


def may_start(build: Build) -> bool:
    """Whether the build is among the first that wait, and its project has room. Locks the project's row, so that two claims do
    not take the same room. Call it in a transaction."""
    Project.objects.select_for_update().filter(pk=build.project_id).first()
    return build.pk in {one.pk for one in _first(build.project_id)}


def _first(project_id: int) -> list[Build]:
    rows = Build.objects.filter(project=project_id)
    room = at_once(project_id) - rows.filter(state__in=ACTIVE).count()
    return list(rows.filter(state=State.QUEUED).order_by("number")[: max(0, room)])


def could_start() -> Iterable[Build]:
    """All waiting builds that may start now."""
    waiting = Build.objects.filter(state=State.QUEUED).order_by().values_list("project", flat=True).distinct()
    return [build for project_id in waiting for build in _first(project_id)]


def next_after(build: Build) -> Build | None:
    """The build that starts when this one has ended."""
    return next(iter(_first(build.project_id)), None)
