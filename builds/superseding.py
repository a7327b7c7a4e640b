"""Newest wins: of a branch's builds that pushes led to, those that wait give way to one of a newer push."""

from __future__ import annotations

from django.db import transaction

from builds.life import LIFE
from builds.models import Build
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import State

BY_PUSH = (Build.Cause.PUSH, Build.Cause.CATCH_UP)


def supersede_older(build: Build) -> list[Build]:
    """Ends the waiting builds of older pushes to the same branch as `superseded`, by `build`; returns them. Those that run go
    on, and those that a person or another branch asked for, too. Call it in the transaction that creates `build`: its number's
    lock makes the order one.

    Deliveries may be decided in another order than they came in: where the push of another build came later, this build itself
    gives way to it.
    """
    if build.cause not in BY_PUSH or not build.branch or build.also_for:
        return []
    others = Build.objects.filter(
        project=build.project_id, branch=build.branch, cause__in=BY_PUSH, number__lt=build.number
    ).select_related("project")
    later = others.filter(delivery__gt=build.delivery_id or 0).exclude(state=State.SUPERSEDED)
    if newest := later.order_by("-delivery").first():
        return [build] if _supersede(build, newest) else []
    waiting = others.filter(state=State.QUEUED, cancel_requested_at=None, also_for=[]).order_by("number")
    return [older for older in waiting if _supersede(older, build)]


def _supersede(older: Build, newer: Build) -> bool:
    """Ends one build, unless a worker has claimed it meanwhile."""
    with transaction.atomic():
        if (
            Build.objects.filter(pk=older.pk, state=State.QUEUED, also_for=[]).update(superseded_by=newer)
            != 1
        ):
            return False
        result = f"{newer.branch} has moved on to {newer.short}, which build #{newer.number} builds."
        write_end(LIFE, older, End(State.SUPERSEDED, result))
    return True
