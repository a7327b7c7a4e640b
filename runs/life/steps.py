"""The steps of a run: made with it, started and ended by the worker that holds the fence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from django.utils import timezone

from runs.fence import Fence
from runs.life.attempt import W
from runs.models import Step, StepState


def create(run_id: UUID, names: Sequence[str]) -> None:
    """The rows of a new run's steps, all pending. Idempotent."""
    rows = [Step(run_id=run_id, name=name, position=position) for position, name in enumerate(names)]
    Step.objects.bulk_create(rows, ignore_conflicts=True)


def start(fence: Fence, name: str) -> None:
    """The step begins, or begins again after a take-over (its first start is kept). Raises FenceLost."""
    with fence.held():
        rows = Step.objects.filter(run_id=fence.run_id, name=name)
        rows.filter(started_at=None).update(started_at=timezone.now())
        rows.update(state=StepState.RUNNING, ended_at=None, summary="")


def end(fence: Fence, name: str, state: StepState, summary: str = "") -> None:
    """The step ended. `summary`: one short sentence without secrets. Raises FenceLost."""
    with fence.held():
        Step.objects.filter(run_id=fence.run_id, name=name).update(
            state=state, ended_at=timezone.now(), summary=summary[:300]
        )


def close(run_id: UUID, running_becomes: StepState) -> None:
    """After the run's end: what was running ends so, what never began is skipped. Call it in the ending transaction."""
    rows = Step.objects.filter(run_id=run_id)
    rows.filter(state=StepState.RUNNING).update(state=running_becomes, ended_at=timezone.now())
    rows.filter(state=StepState.PENDING).update(state=StepState.SKIPPED)


def finished(run_id: UUID) -> set[str]:
    """The names of the steps that have succeeded, in this attempt or an earlier one."""
    rows = Step.objects.filter(run_id=run_id, state=StepState.SUCCEEDED)
    return set(rows.values_list("name", flat=True))


def run_step(attempt: W, name: str, function: Callable[[W], str]) -> None:
    """One step with its row; what `function` returns is its summary. A step that raises stays `running`: the run's end
    closes it with the right state. Raises what `function` raises, and FenceLost."""
    attempt.check()
    start(attempt.fence, name)
    attempt.journal.changed()
    summary = under(attempt, name, function)
    end(attempt.fence, name, StepState.SUCCEEDED, summary)
    attempt.journal.changed()


def under(attempt: W, name: str, function: Callable[[W], str]) -> str:
    """Runs a step's function with its lines in the step's part of the log. Alone, it is for a worker that takes over and
    needs again what the step had found: the step's row stays as it is."""
    attempt.journal.step = name
    return function(attempt)
