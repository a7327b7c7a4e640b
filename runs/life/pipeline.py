"""Works on one attempt at a run: claimed once, fenced by its attempt, resumable after a crash.

A kind of run defines a `Pipeline`: its steps, and its sentences for each possible end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic
from uuid import UUID

import structlog
from rq.timeouts import JobTimeoutException

from core.lost import lost_its_connection
from core.origin import origin
from core.redactor import Redactor, redacting
from engine.errors import SlipwayError
from runs.fence import Fence, FenceLost
from runs.journal import Journal
from runs.life import steps
from runs.life.attempt import Attempt, CancelRequested, Leaving, OutOfTime, W
from runs.life.claim import claim, worker_name
from runs.life.ending import end_fenced
from runs.life.hooks import End, Life
from runs.life.kind import R
from runs.life.queue import enqueue_run
from runs.models import State

log = structlog.get_logger(__name__)
LEAST_SECONDS = 30.0


class BrokenOff(SlipwayError):
    """An attempt failed before it could write an end. The reconciler gives the run to the next attempt."""


def _nothing(_: object) -> None:
    return None


@dataclass(frozen=True)
class Pipeline(Generic[R, W]):
    """How a worker works on one kind of run.

    `attempt`: the class of the attempt's state (`attempt.Attempt[R]` or a subclass). `seconds`: the time limit of a run, over
    all attempts. `opening`: the first line of its log. `work`: runs the steps (`steps.run_step`) that `steps.finished` does
    not name, or all again where a worker that takes over needs their results; it raises the errors that end the run.

    The ends: `succeeded` returns one sentence; `cancelled`, `timed_out` and `failed` (for a SlipwayError) return the end.
    `left`: a sentence about changes made outside so far. `afterwards`: called after the end was committed; it must not fail.
    """

    life: Life[R]
    attempt: type[W]
    seconds: Callable[[R], float]
    opening: Callable[[R], str]
    work: Callable[[W], None]
    succeeded: Callable[[W], str]
    cancelled: Callable[[W], End]
    timed_out: Callable[[W], End]
    failed: Callable[[W, SlipwayError], End]
    left: Callable[[W], str]
    afterwards: Callable[[R], None] = _nothing


def run(pipeline: Pipeline[R, W], run_id: str, attempt: int) -> None:
    """Claims the attempt and works on it to its end. Returns at once when the claim fails. Raises BrokenOff for an unforeseen
    error, without that error's text, which may contain secret values."""
    claimed = claim(pipeline.life, UUID(run_id), attempt)
    if claimed is None:
        return
    kind = pipeline.life.kind.name
    with redacting() as redactor:
        try:
            work_on(pipeline, claimed, redactor)
        except Exception as error:  # the job's edge: RQ keeps a failed job's traceback in Redis
            log.exception("an attempt broke off", kind=kind, number=claimed.number, attempt=attempt)
            raise BrokenOff(
                f"Attempt {attempt} at {kind} #{claimed.number} broke off ({type(error).__name__}); another one goes on."
            ) from None


def work_on(pipeline: Pipeline[R, W], run: R, redactor: Redactor) -> None:
    """Runs all steps and writes the end. Stops without an end after a lost fence: the new owner of the run writes it."""
    life = pipeline.life
    fence = Fence(life.kind.model, run.run_id, run.attempt)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(fence, redactor))
        attempt = begin(pipeline, run, fence, journal)
        try:
            end = outcome(pipeline, attempt)
            attempt.close()
            journal.line(end.result, level="info" if end.state == State.SUCCEEDED else "error")
            journal.flush()
            end_fenced(life, fence, end, warnings=attempt.warnings)
        except Leaving:
            hand_over(life, attempt)
            return
        except FenceLost:
            log.warning(
                "gave up: the fence was lost", kind=life.kind.name, number=run.number, attempt=run.attempt
            )
            return
    pipeline.afterwards(run)


def begin(pipeline: Pipeline[R, W], run: R, fence: Fence, journal: Journal) -> W:
    """Makes the attempt; its deadline is the rest of the run's time limit, at least LEAST_SECONDS."""
    journal.cancelling = run.state == State.CANCELLING
    deadline = time.monotonic() + max(LEAST_SECONDS, pipeline.seconds(run) - (run.seconds or 0.0))
    attempt = pipeline.attempt(
        run=run,
        fence=fence,
        journal=journal,
        deadline=deadline,
        warnings=list(run.warnings),
        project_slug=pipeline.life.kind.about(run).project,
    )
    journal.changed()
    return attempt


def hand_over(life: Life[R], attempt: Attempt[R]) -> None:
    """Gives the run to another worker at once, so that a rolling update of the portal neither waits for runs nor kills them."""
    run = attempt.run
    attempt.log("Its worker is being stopped; another one goes on.", level="warning")
    attempt.journal.flush()
    run.attempt += 1
    try:
        with attempt.fence.held(attempt=run.attempt, worker=""):
            enqueue_run(life.kind, run)
    except FenceLost:
        log.warning("nothing to hand over: the fence was lost", kind=life.kind.name, number=run.number)


def outcome(pipeline: Pipeline[R, W], attempt: W) -> End:
    """Runs the steps and returns the end. Every SlipwayError becomes an end, an unforeseen error the end `errored`. Raises
    FenceLost, Leaving and database errors, which leave the run to the next attempt."""
    try:
        tell_beginning(pipeline, attempt)
        pipeline.work(attempt)
    except (FenceLost, Leaving):
        raise  # no end: the next attempt goes on
    except CancelRequested:
        return pipeline.cancelled(attempt)
    except (OutOfTime, JobTimeoutException):
        return pipeline.timed_out(attempt)
    except SlipwayError as error:
        return pipeline.failed(attempt, error)
    except Exception as error:
        if lost_its_connection(error):
            raise  # without the database, no end could be written
        kind = pipeline.life.kind.name
        log.exception("a run ended by an error of the portal", kind=kind, number=attempt.run.number)
        return End(
            State.ERRORED,
            f"An error of the portal itself ended this {kind}.",
            f"{pipeline.left(attempt)} The portal's log has the details under {origin().request_id}.",
        )
    return End(State.SUCCEEDED, pipeline.succeeded(attempt))


def tell_beginning(pipeline: Pipeline[R, W], attempt: W) -> None:
    """Logs the first lines of an attempt. The first attempt flushes them before it calls any outside system."""
    run, names = attempt.run, steps.names(attempt.run.run_id)
    if run.attempt > 1:
        steps.leave_open(attempt.fence)
        done = steps.finished(run.run_id)
        following = next((name for name in names if name not in done), names[-1])
        attempt.log(
            f"Taken over by {worker_name()} (attempt {run.attempt}); going on at {following}.",
            level="warning",
        )
    else:
        attempt.journal.step = names[0]
        attempt.log(f"{pipeline.opening(run)}; worker {worker_name()}")
        attempt.journal.flush()
