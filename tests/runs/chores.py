"""Chores: the smallest kind of run. All that a new kind needs is here: two models, a few functions, three declarations.

A chore sweeps one room; in each room one chore runs at a time. The models belong to no installed app, so no page and no
migration knows of them; `tables` makes their tables for some tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, models
from django.db.models import Q

from engine.errors import SlipwayError
from runs.life.attempt import Attempt
from runs.life.hooks import End, Life
from runs.life.kind import About, Kind
from runs.life.pipeline import Pipeline
from runs.life.steps import finished, run_step
from runs.models import ACTIVE, Counter, Run, State

Step = Callable[["Work"], str]


class Chore(Run):
    """Sweeping a room."""

    room = models.CharField(max_length=20)

    class Meta:
        app_label = "chores"
        constraints = [
            models.UniqueConstraint(
                fields=["room"], condition=Q(state__in=["running", "cancelling"]), name="one_active_chore"
            )
        ]


class ChoreCounter(Counter):
    """Numbers of chores."""

    class Meta:
        app_label = "chores"


@contextmanager
def tables() -> Iterator[None]:
    """The tables of chores are there inside the block."""
    with connection.schema_editor() as editor:
        editor.create_model(Chore)
        editor.create_model(ChoreCounter)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Chore)
        editor.delete_model(ChoreCounter)


KIND = Kind(
    name="chore",
    model=Chore,
    counter=ChoreCounter,
    queue="short",
    job="tests.runs.chores.run",
    steps=("sweep", "tidy"),
    about=lambda chore: About(text=f"#{chore.number} {chore.room}", facts={"room": chore.room}),
)


def waiting(room: str) -> models.QuerySet[Chore]:
    """What waits for a room, in order."""
    return Chore.objects.filter(room=room, state=State.QUEUED).order_by("number")


def free_rooms() -> list[Chore]:
    """The first chore of each room that nobody sweeps."""
    rooms = Chore.objects.filter(state=State.QUEUED).values_list("room", flat=True).distinct()
    first = [waiting(room)[0] for room in rooms]
    return [chore for chore in first if may_start(chore)]


def may_start(chore: Chore) -> bool:
    """Nobody sweeps there, and it is the first in line."""
    if Chore.objects.filter(room=chore.room, state__in=ACTIVE).exists():
        return False
    return waiting(chore.room).first() == chore


told: list[str] = []
LIFE = Life(
    kind=KIND,
    may_start=may_start,
    could_start=free_rooms,
    next_after=lambda chore: waiting(chore.room).first(),
    what_stays=lambda chore: f"{chore.room} stays half swept",
    when_abandoned="Look into the room.",
    on_start=lambda chore: told.append(f"{chore.room}: begins"),
    on_end=lambda chore, end: told.append(f"{chore.room}: {end.state}"),
)


class TooDirty(SlipwayError):
    """It cannot be swept."""


class Work(Attempt[Chore]):
    """A worker with a broom."""


def sweep(work: Work) -> str:
    """The first step; tests put others in its place."""
    work.log(f"sweeping {work.run.room}")
    return "swept"


STEPS: dict[str, Step] = {"sweep": sweep, "tidy": lambda work: "tidy"}


def all_steps(work: Work) -> None:
    """Those that are not done yet."""
    done = finished(work.run.run_id)
    for name, function in STEPS.items():
        if name not in done:
            run_step(work, name, function)


PIPELINE = Pipeline(
    life=LIFE,
    attempt=Work,
    seconds=lambda chore: 60.0,
    opening=lambda chore: f"{chore.actor_text} sweeps {chore.room}",
    work=all_steps,
    succeeded=lambda work: f"{work.run.room} is clean.",
    cancelled=lambda work: End(State.CANCELLED, "Somebody cancelled it."),
    timed_out=lambda work: End(State.TIMED_OUT, "It took too long."),
    failed=lambda work, error: End(State.FAILED, error.message, error.hint),
    left=lambda work: "Some dust was moved.",
    afterwards=lambda chore: told.append(f"{chore.room}: over"),
)
