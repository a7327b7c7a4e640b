"""The reconciler: repairs runs that lost their job, their worker or their machine.

It runs every five seconds in a thread of the scheduler and needs only the database. It asks Redis only for the queued jobs,
after all repairs; a Redis that hangs costs it half a second (`core/jobs.py`).
Every change is a conditional update, so two reconcilers at once do no harm. Heartbeats are written and compared by the
database's clock, because the clocks of hosts differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import structlog
from django.db import close_old_connections
from django.db.models import Q
from django.db.models.functions import Now

from core.jobs import push, queued
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
WITHOUT_WORKER = SILENT | UNCLAIMED
OVERDUE = Q(cancel_requested_at__lt=Now() - CANCEL_DEADLINE)


def reconcile(lives: Iterable[Life[Any]]) -> None:
    """Ends cancelled runs without a worker, takes over runs that lost their worker, enqueues runs that the queue lost. Logs
    errors and goes on with the other kinds."""
    lives = list(lives)
    for part in (repair, enqueue_lost):
        for life in lives:
            try:
                part(life)
            except Exception:  # an error of one kind must not stop the others
                log.exception("runs of a kind could not be repaired", kind=life.kind.name)
                close_old_connections()


def repair(life: Life[R]) -> None:
    """Ends, abandons or takes over the active runs of one kind that need it."""
    cures: tuple[tuple[Q, Callable[[Life[R], R], bool]], ...] = (
        (CANCELLING & WITHOUT_WORKER, end_cancelled),
        (CANCELLING & OVERDUE, abandon),
        (Q(state=State.RUNNING) & SILENT & ~UNCLAIMED, take_over),
    )
    for needed, cure in cures:
        for run in life.kind.rows(life.hooks_need).filter(needed):
            try:
                cure(life, run)
            except Exception:  # an error of one run must not stop the others
                log.exception("a run could not be repaired", kind=life.kind.name, number=run.number)


def end_cancelled(life: Life[R], run: R) -> bool:
    """Ends a cancelling run that has no worker to end it. Returns whether it did."""
    who = run.cancelled_by or "Somebody"
    return end_given_up(
        life,
        run,
        End(State.CANCELLED, f"{who} cancelled it after its worker had stopped; {life.what_stays(run)}."),
        still=WITHOUT_WORKER,
    )


def abandon(life: Life[R], run: R) -> bool:
    """Ends a cancelled run whose worker does not stop; the fence blocks its further writes. Returns whether it did."""
    return end_given_up(
        life,
        run,
        End(
            State.ABANDONED,
            "It was cancelled but did not stop in time; the portal gave it up.",
            life.when_abandoned,
        ),
        still=OVERDUE,
    )


def take_over(life: Life[R], run: R) -> bool:
    """Gives a run whose worker fell silent to the next worker, or ends it after MOST_ATTEMPTS. Returns whether it did."""
    kind = life.kind
    if run.attempt >= MOST_ATTEMPTS:
        return end_given_up(
            life, run,
            End(State.ERRORED, f"Its worker stopped {MOST_ATTEMPTS} times; the portal does not try again.",
                f"Look at the workers' logs, then {kind.name} again."),
            still=SILENT,
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
    """Runs that need a worker now: queued ones that may start, and running ones that were taken over."""
    yield from life.could_start()
    yield from life.kind.rows().filter(UNCLAIMED, state=State.RUNNING)


def enqueue_lost(life: Life[R]) -> None:
    """Enqueues every run that waits for a worker and has no job in the queue.

    A job that a worker has just taken may be enqueued a second time; that one fails to claim the run and ends.
    """
    kind, waiting = life.kind, list(waiting_for_a_worker(life))
    if not waiting:
        return
    known = queued(kind.queue)
    if known is None:
        return
    for run in waiting:
        if job_id(run) not in known:
            push(kind.job, (str(run.run_id), run.attempt), kind.queue, job_id(run), unique=False)
