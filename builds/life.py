"""The hooks of builds for the life cycle of runs: as many builds of a project at once as its settings allow."""

from __future__ import annotations

from collections.abc import Iterable

from builds.kind import BUILD
from builds.models import Build
from runs.life.hooks import Life
from runs.models import ACTIVE, State


def may_start(build: Build) -> bool:
    """Whether fewer builds of the project run than may run together."""
    settings = getattr(build.project, "build_settings", None)
    running = Build.objects.filter(project=build.project_id, state__in=ACTIVE).count()
    return running < (settings.at_once if settings else 1)


def could_start() -> Iterable[Build]:
    """The queued builds that may start now."""
    queued = Build.objects.filter(state=State.QUEUED).select_related("project__build_settings")
    return [build for build in queued.order_by("number") if may_start(build)]


def next_after(build: Build) -> Build | None:
    """The oldest queued build of the same project."""
    return Build.objects.filter(project=build.project_id, state=State.QUEUED).order_by("number").first()


LIFE = Life(
    kind=BUILD,
    may_start=may_start,
    could_start=could_start,
    next_after=next_after,
    what_stays=lambda build: "images that were pushed stay in the registry",
    when_abandoned="Its worker may still be building for some minutes.",
    hooks_need=("project",),
    worker_needs=("project",),
)
