"""Newest wins: of a branch's builds that pushes led to, those that have not started give way to a newer one."""

from __future__ import annotations

from django.db import transaction

from builds.models import Build
from runs.life.ending import write_end
from runs.life.hooks import End, Life
from runs.models import State

# What a person asked for is built whatever is pushed.
BY_PUSH = (Build.Cause.PUSH, Build.Cause.CATCH_UP)


@transaction.atomic
def supersede_older(life: Life[Build], build: Build) -> list[Build]:
    """Ends the queued builds of the same branch whose push came earlier, and returns them. A build that has started goes on.

    Deliveries may be decided in another order than they came in: where the push of another build came later, this build itself
    gives way to it. Call it in the transaction that creates the build: its number's lock makes the order one.
    """
    if not build.branch or build.cause not in BY_PUSH or build.state != State.QUEUED:
        return []
    others = Build.objects.filter(
        project=build.project_id, branch=build.branch, cause__in=BY_PUSH, number__lt=build.number
    ).select_related(*life.hooks_need)
    newest = others.filter(delivery__gt=build.delivery_id or 0).exclude(state=State.SUPERSEDED)
    if later := newest.order_by("-delivery").first():
        return [build] if _ended(life, build, later) else []
    queued = others.filter(state=State.QUEUED, cancel_requested_at=None).order_by("number")
    return [older for older in queued if _ended(life, older, build)]


def _ended(life: Life[Build], older: Build, newer: Build) -> bool:
    """Ends one build, unless a worker has claimed it meanwhile."""
    still_queued = Build.objects.filter(pk=older.pk, state=State.QUEUED, attempt=older.attempt)
    if still_queued.update(superseded_by=newer, attempt=older.attempt + 1) != 1:
        return False
    sentence = f"A newer push of {newer.branch} came before it started: build {newer.number}."
    write_end(life, older, End(State.SUPERSEDED, sentence))
    return True
