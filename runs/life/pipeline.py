"""A worker's way through one attempt at a run: claimed once, fenced by its attempt, resumable after a crash.

What a kind of run adds is a `Pipeline`: its steps, and the sentences for how it can end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from rq.timeouts import JobTimeoutException

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
    """An attempt could not even say how it ended. The reconciler gives the run to the next one."""


def _nothing(_: object) -> None:
    return None


@dataclass(frozen=True)
class Pipeline(Generic[R, W]):
    """How a worker works on one kind of run.

    `attempt`: the class of what a worker knows (`attempt.Attempt[R]` or a subclass). `seconds`: how long a run may take, over
    all attempts. `opening`: the first line of its log. `work`: runs the steps (`steps.run_step`) that `steps.finished` does
    not name, or all again where a worker that takes over needs what they find; it raises what ends the run.

    The ends: `succeeded`: one sentence; `cancelled`, `timed_out`; `failed`: by an error of the family, which it tells from
    each other. `left`: what has been changed outside so far, in a sentence. `afterwards`: what else follows, when the end
    has been written and nothing can break it.
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
    """Claims the attempt and works on it to its end. Ends at once when it is not this attempt's turn. Raises BrokenOff,
    which quotes nothing: what broke it off may quote secret values."""
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
    """All steps, and the end. A lost fence ends it silently: somebody else tells the rest of the story."""
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
    """The attempt, with the time that is left for the run."""
    journal.cancelling = run.state == State.CANCELLING
    used = (timezone.now() - run.started_at).total_seconds() if run.started_at else 0.0
    deadline = time.monotonic() + max(LEAST_SECONDS, pipeline.seconds(run) - used)
    attempt = pipeline.attempt(
        run=run, fence=fence, journal=journal, deadline=deadline, warnings=list(run.warnings)
    )
    journal.changed()
    return attempt


def hand_over(life: Life[R], attempt: Attempt[R]) -> None:
    """Gives the run to another worker at once: a rolling update of the portal neither waits for its end nor kills it."""
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
    """Runs the steps and says how it ended. Every error of the family becomes an end; nothing else is swallowed but at
    the job's edge, where an unforeseen error must still be told."""
    try:
        tell_beginning(pipeline, attempt)
        pipeline.work(attempt)
    except (FenceLost, Leaving, OperationalError, InterfaceError):
        raise  # no end: the next attempt goes on. Without its database nothing could be told, either
    except CancelRequested:
        return pipeline.cancelled(attempt)
    except (OutOfTime, JobTimeoutException):
        return pipeline.timed_out(attempt)
    except SlipwayError as error:
        return pipeline.failed(attempt, error)
    except Exception:
        kind = pipeline.life.kind.name
        log.exception("a run ended by an error of the portal", kind=kind, number=attempt.run.number)
        return End(
            State.ERRORED,
            f"An error of the portal itself ended this {kind}.",
            f"{pipeline.left(attempt)} The portal's log has the details under {origin().request_id}.",
        )
    return End(State.SUCCEEDED, pipeline.succeeded(attempt))


def tell_beginning(pipeline: Pipeline[R, W], attempt: W) -> None:
    """The first lines of an attempt. The very first is there as soon as a worker is, before anything outside is asked."""
    run, names = attempt.run, pipeline.life.kind.steps
    if run.attempt > 1:
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
