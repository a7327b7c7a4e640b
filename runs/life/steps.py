"""The steps of a run: created with it, started and ended by the worker that holds the fence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from core import changes
from core.redactor import redact_text
from core.storable import storable_text
from runs.fence import Fence
from runs.life.attempt import W
from runs.models import Step, StepState


def create(run_id: UUID, names: Sequence[str]) -> None:
    """Creates the rows of a new run's steps, all pending. Idempotent."""
    rows = [Step(run_id=run_id, name=name, position=position) for position, name in enumerate(names)]
    Step.objects.bulk_create(rows, ignore_conflicts=True)


def start(fence: Fence, name: str) -> None:
    """Marks the step as running, from now on. What an earlier attempt did of it goes to `Step.earlier`. Raises FenceLost."""
    with fence.held():
        for step in Step.objects.filter(run_id=fence.run_id, name=name):
            _begin_again(step, StepState.RUNNING, timezone.now(), fence.attempt)


def leave_open(fence: Fence) -> None:
    """At a take-over: steps that the attempt before did not finish end there, and wait to be begun again. Raises FenceLost."""
    with fence.held():
        for step in Step.objects.filter(run_id=fence.run_id, state=StepState.RUNNING):
            _begin_again(step, StepState.PENDING, None, fence.attempt)


def _begin_again(step: Step, state: StepState, started_at: datetime | None, attempt: int) -> None:
    if step.started_at is not None:
        seconds = ((step.ended_at or timezone.now()) - step.started_at).total_seconds()
        finished = step.state == StepState.SUCCEEDED
        step.earlier.append({"attempt": step.attempt, "seconds": seconds, "finished": finished})
    step.state, step.started_at, step.ended_at, step.summary = state, started_at, None, ""
    step.attempt = attempt
    step.save()


def end(fence: Fence, name: str, state: StepState, summary: str = "") -> None:
    """Marks the step as ended. `summary`: one short sentence; it is redacted. Raises FenceLost."""
    with fence.held():
        Step.objects.filter(run_id=fence.run_id, name=name).update(
            state=state, ended_at=timezone.now(), summary=redact_text(storable_text(summary))[:300]
        )


def close(run_id: UUID, running_becomes: StepState) -> None:
    """At the run's end: a running step gets the state `running_becomes`, pending ones are skipped. Call it in the ending
    transaction."""
    rows = Step.objects.filter(run_id=run_id)
    rows.filter(state=StepState.RUNNING).update(state=running_becomes, ended_at=timezone.now(), summary="")
    rows.filter(state=StepState.PENDING).update(state=StepState.SKIPPED)


def names(run_id: UUID) -> list[str]:
    """The names of a run's steps, in order."""
    return list(Step.objects.filter(run_id=run_id).values_list("name", flat=True))


def finished(run_id: UUID) -> set[str]:
    """The names of the steps that have succeeded, in this attempt or an earlier one."""
    rows = Step.objects.filter(run_id=run_id, state=StepState.SUCCEEDED)
    return set(rows.values_list("name", flat=True))


def run_step(attempt: W, name: str, function: Callable[[W], str]) -> None:
    """Runs one step and writes its row. `function` returns the summary. After an error the step stays `running`, and the run's
    end closes it with the right state. Raises the errors of `function` and of `Attempt.check`."""
    attempt.check()
    start(attempt.fence, name)
    tell(attempt)
    summary = call_in_step(attempt, name, function)
    end(attempt.fence, name, StepState.SUCCEEDED, summary)
    tell(attempt)


def tell(attempt: W) -> None:
    """Tells open pages of a step: those of the project, and that of the run."""
    changes.note(attempt.project_slug)
    attempt.journal.changed()


def call_in_step(attempt: W, name: str, function: Callable[[W], str]) -> str:
    """Runs a step's function, with its lines in the step's part of the log, and returns the summary. Does not change the step's
    row: a worker that takes over calls it to compute the results of a finished step again."""
    attempt.journal.step = name
    return function(attempt)
