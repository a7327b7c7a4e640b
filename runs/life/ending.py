"""How a run ends: one transaction that says so everywhere, and wakes whoever waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
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


def kept(value: Any) -> Any:
    """`value` (as JSON knows it) as it may be kept: without secret values, in characters that every database takes."""
    return storable(redact_nested(value))


def end_fenced(life: Life[R], fence: Fence, end: End, *, warnings: Sequence[str] = ()) -> None:
    """Ends the run of a worker, with all that it was warned of. Raises FenceLost when this worker no longer owns the run."""
    with fence.held(warnings=kept(list(dict.fromkeys(warnings)))):
        write_end(life, life.kind.rows(life.hooks_need).get(run_id=fence.run_id), end)


def end_unstarted(life: Life[R], run: R, end: End) -> None:
    """Ends a run that no worker has. Call it in a transaction that made sure of that."""
    write_end(life, run, end)


def end_given_up(life: Life[R], run: R, end: End) -> bool:
    """For the reconciler: ends a run whose worker is gone or does not stop. False when it ended by itself meanwhile.

    The attempt is raised with it, so that a worker which still lives can write nothing more.
    """
    with transaction.atomic():
        rows = life.kind.rows().filter(pk=run.pk, attempt=run.attempt, state__in=ACTIVE)
        if rows.update(attempt=run.attempt + 1) != 1:
            return False
        write_end(life, run, end)
    return True


def write_end(life: Life[R], run: R, end: End) -> None:
    """State, steps, audit, what goes with it, and the bell for whoever is next. In the caller's transaction: whatever
    ends a run, none of this is lost."""
    if end.state not in ENDS:
        raise ValueError(f"{end.state} is no end of a run.")
    kind = life.kind
    kind.rows().filter(pk=run.pk).update(
        state=end.state,
        ended_at=timezone.now(),
        result=kept(end.result)[:500],
        hint=kept(end.hint)[:500],
        evidence=kept(end.evidence),
    )
    steps.close(run.run_id, STEP_STATE.get(end.state, StepState.ERRORED))
    run.refresh_from_db()
    kind.record(SYSTEM_ACTOR, f"{kind.name}.ended", run, {"state": end.state.value, "result": run.result})
    life.on_end(run, end)
    following = life.next_after(run)
    if following is not None:
        enqueue_run(kind, following)
    transaction.on_commit(lambda: Bell(run.run_id).ring(CHANGED))
