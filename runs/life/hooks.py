"""The hooks of a kind of run: the order of its runs, and its own writes at their start and end.

Claiming (`claim.py`), ending (`ending.py`), cancelling (`cancelling.py`) and reconciling (`reconcile.py`) call these
hooks; `pipeline.py` describes the work itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic

from runs.life.kind import Kind, R
from runs.models import State


@dataclass(frozen=True)
class End:
    """How a run ended: state, one sentence, a hint for people, observations as JSON. No secret values."""

    state: State
    result: str
    hint: str = ""
    evidence: tuple[dict[str, Any], ...] = ()


def _nothing(*_: object) -> None:
    return None


def _no_changes(_: object) -> dict[str, object]:
    return {}


@dataclass(frozen=True)
class Life(Generic[R]):
    """The hooks of one kind.

    Order: `may_start`: whether a queued run may start now, called in the claim's transaction (where two runs must never be
    active together, the kind's table also needs a constraint); `could_start`: all queued runs that may start now;
    `next_after`: the run to enqueue when this one has ended.

    Start: `changes_at_start`: more columns to set in the run's row; `on_start`: more writes, in the same transaction.

    End: `on_end`: more writes in the ending transaction, after those of the row, the steps and the audit event.
    `what_stays`: the end of the sentence about a run that was cancelled after its worker had stopped ("what was applied
    stays"). `when_abandoned`: the hint for a run whose worker did not stop after a cancel.

    `hooks_need`, `worker_needs`: related rows (as for `select_related`) to load with a run for the hooks and for the worker.
    """

    kind: Kind[R]
    may_start: Callable[[R], bool]
    could_start: Callable[[], Iterable[R]]
    next_after: Callable[[R], R | None]
    what_stays: Callable[[R], str]
    when_abandoned: str
    changes_at_start: Callable[[R], dict[str, object]] = _no_changes
    on_start: Callable[[R], None] = _nothing
    on_end: Callable[[R, End], None] = _nothing
    hooks_need: tuple[str, ...] = ()
    worker_needs: tuple[str, ...] = ()
