"""Ends a run: one transaction writes the state, steps, audit event and hooks, and enqueues the next run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR
from core.redactor import redact_nested
from core.storable import storable
from runs.bell import CHANGED, Bell
from runs.fence import Fence
from runs.life import steps
from runs.life.hooks import End, Life
from runs.life.kind import R
from runs.life.queue import enqueue_run
from runs.models import ACTIVE, ENDS, State, StepState

STEP_STATE = {
    State.SUCCEEDED: StepState.SUCCEEDED,
    State.FAILED: StepState.FAILED,
    State.CANCELLED: StepState.CANCELLED,
    State.TIMED_OUT: StepState.TIMED_OUT,
}


def as_stored(value: Any) -> Any:
    """A JSON value in the form for the database: without characters that a database refuses, and redacted.

    In this order: a NUL between the letters would hide a value from the redactor."""
    return redact_nested(storable(value))


def end_fenced(life: Life[R], fence: Fence, end: End, *, warnings: Sequence[str] = ()) -> None:
    """Ends a worker's run. `warnings` are stored without duplicates. Raises FenceLost when the worker no longer owns the run."""
    with fence.held(warnings=as_stored(list(dict.fromkeys(warnings)))):
        write_end(life, life.kind.rows(life.hooks_need).get(run_id=fence.run_id), end)


def end_given_up(life: Life[R], run: R, end: End, *, still: Q) -> bool:
    """For the reconciler: ends a run whose worker is gone or does not stop. False when the run ended or was taken over
    meanwhile, or when the reason `still` no longer holds, because a worker wrote a heartbeat or claimed it.

    Increases the attempt, so that a worker which is still alive cannot write any more.
    """
    with transaction.atomic():
        rows = life.kind.rows().filter(still, pk=run.pk, attempt=run.attempt, state__in=ACTIVE)
        if rows.update(attempt=run.attempt + 1) != 1:
            return False
        write_end(life, run, end)
    return True


def write_end(life: Life[R], run: R, end: End) -> None:
    """Writes state, steps and audit event, calls the hook `on_end`, enqueues the next run, and rings the bell after the
    commit. Call it in the transaction that ends the run, after a conditional update that makes sure of it, so that a crash
    loses none of this. Raises ValueError for a state that is no end."""
    if end.state not in ENDS:
        raise ValueError(f"{end.state} is no end of a run.")
    kind = life.kind
    kind.rows().filter(pk=run.pk).update(
        state=end.state,
        ended_at=timezone.now(),
        result=as_stored(end.result)[:500],
        hint=as_stored(end.hint)[:500],
        evidence=as_stored(end.evidence),
    )
    steps.close(run.run_id, STEP_STATE.get(end.state, StepState.ERRORED))
    run.refresh_from_db()
    kind.record(SYSTEM_ACTOR, f"{kind.name}.ended", run, {"state": end.state.value, "result": run.result})
    life.on_end(run, end)
    following = life.next_after(run)
    if following is not None:
        enqueue_run(kind, following)
    transaction.on_commit(lambda: Bell(run.run_id).ring(CHANGED))
