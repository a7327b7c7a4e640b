"""Opening a run: its number, its row, its steps. Who may ask for it, and whether it is rung for, is its kind's affair."""

from __future__ import annotations

from django.db.models import F

from audit.actors import Actor
from runs.life import steps
from runs.life.kind import Kind, R


def next_number(kind: Kind[R]) -> int:
    """The next public number. The counter's row is locked until the commit; numbers may have gaps, no two are equal."""
    rows = kind.counter._default_manager
    rows.get_or_create(name=kind.name)
    rows.filter(name=kind.name).update(last=F("last") + 1)
    return rows.get(name=kind.name).last


def create(kind: Kind[R], actor: Actor, /, **fields: object) -> R:
    """The row of a queued run that `actor` asked for, with a number of its own, and its steps. Call it in a transaction."""
    run = kind.model._default_manager.create(
        number=next_number(kind),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_text=actor.text[:150],
        **fields,
    )
    steps.create(run.run_id, kind.steps)
    return run
