"""Newest wins: a build that waits is not started when its branch has moved on."""

from __future__ import annotations

from django.db import transaction

from builds.life import LIFE
from builds.models import Build
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import State

BY_PUSH = (Build.Cause.PUSH, Build.Cause.CATCH_UP)


def supersede_older(build: Build) -> list[Build]:
    """Ends the waiting builds of older pushes to the same branch as `superseded`, by `build`; returns them. Those that a person
    asked for, and those that run, go on. Call it in the transaction that creates `build`."""
    if build.cause not in BY_PUSH or not build.branch:
        return []
    rows = Build.objects.filter(
        project=build.project_id,
        branch=build.branch,
        cause__in=BY_PUSH,
        state=State.QUEUED,
        number__lt=build.number,
    )
    return [older for older in rows.select_related("project") if _supersede(older, build)]


def _supersede(older: Build, build: Build) -> bool:
    with transaction.atomic():
        if Build.objects.filter(pk=older.pk, state=State.QUEUED).update(superseded_by=build) != 1:
            return False
        result = f"{build.branch} has moved on to {build.short}, which build #{build.number} builds."
        write_end(LIFE, older, End(State.SUPERSEDED, result))
    return True
