"""What a kind of run adds to the life that all runs share: whose turn it is, and what goes with its start and its end.

Claiming (`claim.py`), ending (`ending.py`), cancelling (`cancelling.py`) and reconciling (`reconcile.py`) call these
functions; how a worker does the work is in `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic

from runs.life.kind import Kind, R
from runs.models import State


@dataclass(frozen=True)
class End:
    """How a run ended: state, one sentence, what to do, what was seen. No secrets."""

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

    Turns: `may_start`: whether a queued run may begin now, asked in the claim's transaction (where two must never run at
    once, a constraint on the kind's table has the last word); `could_start`: all queued runs that may begin now;
    `next_after`: the one to ring for when this one has ended.

    Start: `changes_at_start`: what else changes in its row when it begins; `on_start`: what goes with that, in the same
    transaction.

    End: `on_end`: what goes with it, in the ending transaction, after the row, the steps and the audit event were written.
    `what_stays`: for a run that was cancelled after its worker had stopped, the end of the sentence ("what was applied
    stays"). `when_abandoned`: what to do about one whose worker did not stop.

    `hooks_need`, `worker_needs`: related rows (as in `select_related`) to load with a run for the hooks, and for the worker.
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
