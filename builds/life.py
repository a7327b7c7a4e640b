"""The hooks of builds for the life cycle of runs: order within a project, and what follows an end."""

from __future__ import annotations

from builds import turns
from builds.announcing import tell_ended, tell_started
from builds.kind import BUILD
from builds.models import Build, BuiltImage
from runs.life.hooks import End, Life
from runs.models import State

OPEN_IMAGES = (BuiltImage.State.PENDING, BuiltImage.State.BUILDING, BuiltImage.State.PUSHING)


def on_end(build: Build, end: End) -> None:
    """Closes the rows of images that were not done, and queues the commit's status."""
    state = (
        BuiltImage.State.FAILED if end.state in (State.FAILED, State.ERRORED) else BuiltImage.State.CANCELLED
    )
    build.images.filter(state__in=OPEN_IMAGES).update(state=state)
    tell_ended(build, end)


def what_stays(build: Build) -> str:
    """End of the sentence about a build that was cancelled after its worker had stopped."""
    pushed = build.images.filter(state__in=(BuiltImage.State.SUCCEEDED, BuiltImage.State.EXISTED)).count()
    return "images that were pushed stay in the registry" if pushed else "nothing was pushed"


LIFE = Life(
    kind=BUILD,
    may_start=turns.may_start,
    could_start=turns.could_start,
    next_after=turns.next_after,
    what_stays=what_stays,
    when_abandoned="The Docker engine may still be working on it; it ends when its worker's connection does.",
    on_start=tell_started,
    on_end=on_end,
    hooks_need=("project",),
    worker_needs=("project",),
)
