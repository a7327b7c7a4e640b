"""The reconciler: the only cure for what queues, workers and machines lose.

It runs every five seconds in the scheduler's process and needs nothing but the database; Redis is asked only what is
queued. Everything it does is a conditional update, so running it twice does no harm. How long a worker has been silent
is told by the database's clock, which wrote its heartbeat, too: clocks of hosts differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import structlog
from django.db import close_old_connections
from django.db.models import Q
from django.db.models.functions import Now
from django_rq import get_queue
from redis.exceptions import RedisError

from core.jobs import push
from runs.life.ending import end_given_up
from runs.life.hooks import End, Life
from runs.life.kind import R
from runs.life.queue import job_id
from runs.models import State

log = structlog.get_logger(__name__)
HEARTBEAT_LOST = timedelta(seconds=20)
CANCEL_DEADLINE = timedelta(seconds=120)
MOST_ATTEMPTS = 5

SILENT = Q(heartbeat_at=None) | Q(heartbeat_at__lt=Now() - HEARTBEAT_LOST)
UNCLAIMED = Q(worker="")
CANCELLING = Q(state=State.CANCELLING)
OVERDUE = Q(cancel_requested_at__lt=Now() - CANCEL_DEADLINE)


def reconcile(lives: Iterable[Life[Any]]) -> None:
    """Everything, in order: end what is being cancelled, take over what lost its worker, enqueue what the queue lost."""
    lives = list(lives)
    for part in (tend, enqueue_lost):
        for life in lives:
            try:
                part(life)
            except Exception:  # one kind that cannot be tended must not keep the others waiting
                log.exception("runs of a kind could not be tended", kind=life.kind.name)
                close_old_connections()


def tend(life: Life[R]) -> None:
    """The running and cancelling runs of one kind that need something."""
    cures: tuple[tuple[Q, Callable[[Life[R], R], bool]], ...] = (
        (CANCELLING & (SILENT | UNCLAIMED), end_cancelled),
        (CANCELLING & OVERDUE, abandon),
        (Q(state=State.RUNNING) & SILENT & ~UNCLAIMED, take_over),
    )
    for needed, cure in cures:
        for run in life.kind.rows(life.hooks_need).filter(needed):
            try:
                cure(life, run)
            except Exception:  # one run that cannot be tended must not keep all others waiting
                log.exception("a run could not be tended", kind=life.kind.name, number=run.number)


def end_cancelled(life: Life[R], run: R) -> bool:
    """Ends a run that is being cancelled and has no worker which could do so."""
    who = run.cancelled_by or "Somebody"
    return end_given_up(
        life,
        run,
        End(State.CANCELLED, f"{who} cancelled it after its worker had stopped; {life.what_stays(run)}."),
    )


def abandon(life: Life[R], run: R) -> bool:
    """Ends a run that was cancelled and does not stop; its worker can write nothing more."""
    return end_given_up(
        life,
        run,
        End(
            State.ABANDONED,
            "It was cancelled but did not stop in time; the portal gave it up.",
            life.when_abandoned,
        ),
    )


def take_over(life: Life[R], run: R) -> bool:
    """Gives a run whose worker fell silent to the next one, or ends it when that happened too often."""
    kind = life.kind
    if run.attempt >= MOST_ATTEMPTS:
        return end_given_up(
            life, run,
            End(State.ERRORED, f"Its worker stopped {MOST_ATTEMPTS} times; the portal does not try again.",
                f"Look at the workers' logs, then {kind.name} again."),
        )  # fmt: skip
    rows = kind.rows().filter(SILENT, pk=run.pk, attempt=run.attempt, state=State.RUNNING)
    if rows.update(attempt=run.attempt + 1, worker="", heartbeat_at=Now()) != 1:
        return False
    log.warning(
        "a worker fell silent; its run is given to another",
        kind=kind.name, number=run.number, worker=run.worker,
    )  # fmt: skip
    return True


def waiting_for_a_worker(life: Life[R]) -> Iterator[R]:
    """Runs that could start or go on now: those whose turn it is, and those taken over."""
    yield from life.could_start()
    yield from life.kind.rows().filter(UNCLAIMED, state=State.RUNNING)


def enqueue_lost(life: Life[R]) -> None:
    """Rings again for every run that waits for a worker and is not in the queue.

    A job that a worker has just popped may be enqueued twice by this; the second one claims nothing and ends.
    """
    kind, waiting = life.kind, list(waiting_for_a_worker(life))
    if not waiting:
        return
    try:
        queued = set(get_queue(kind.queue).get_job_ids())
    except (RedisError, OSError) as error:
        log.warning("the queue cannot be read", queue=kind.queue, error=type(error).__name__)
        return
    for run in waiting:
        if job_id(run) not in queued:
            push(kind.job, (str(run.run_id), run.attempt), kind.queue, job_id(run), unique=False)
