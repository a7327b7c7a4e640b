"""Creates a run: its number, its row, its steps. The kind of run checks the right and enqueues it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F

from audit.actors import Actor
from runs.life import steps
from runs.life.kind import Kind, R


def next_number(kind: Kind[R]) -> int:
    """The next public number. Locks the counter's row until the commit, so numbers are unique; they may have gaps."""
    rows = kind.counter._default_manager
    rows.get_or_create(name=kind.name)
    rows.filter(name=kind.name).update(last=F("last") + 1)
    return rows.get(name=kind.name).last


def create(kind: Kind[R], actor: Actor, names: Sequence[str] | None = None, /, **fields: object) -> R:
    """Creates a queued run for `actor` with a new number, and its steps. `names`: those of the steps, where they are not the
    same for all runs of the kind. `fields`: the kind's own columns. Call it in a transaction."""
    run = kind.model._default_manager.create(
        number=next_number(kind),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_text=actor.text[:150],
        **fields,
    )
    steps.create(run.run_id, kind.steps if names is None else names)
    return run
