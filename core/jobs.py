"""Enqueues jobs in RQ: with ids only, after the commit. A Redis that is down or hangs never makes a request fail or wait.

The database row says what is to be done; a tick enqueues a job again that did not reach Redis. After a failure this process
does not ask Redis for REST_SECONDS (`core/breaker.py`), so one round of ticks waits for one timeout at most.
"""

from __future__ import annotations

import time
from functools import partial

import structlog
from django.db import transaction
from django_rq import get_queue
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import JobStatus

from core.breaker import Breaker

log = structlog.get_logger(__name__)
REST_SECONDS = 5.0
redis_breaker = Breaker(REST_SECONDS)
# RQ keeps a job with such a state for days: it is not in the queue, and nobody works on it.
OVER = frozenset({JobStatus.FAILED, JobStatus.FINISHED, JobStatus.STOPPED, JobStatus.CANCELED})


def enqueue(
    name: str,
    *ids: str | int,
    queue: str,
    job_id: str,
    at_front: bool = False,
    seconds: int | None = None,
) -> None:
    """Enqueues a job once the transaction is committed (at once outside of one).

    `name`: the dotted name of a function, e.g. `clusters.jobs.refresh_live`, so that the caller need not import it.
    `ids`: its arguments. `at_front`: put it first in the queue, because a person waits for it. `seconds`: its time limit, when
    it is not the queue's.

    `job_id`: letters, digits, `_`, `-`. A second job with the id of one that waits or runs is not enqueued. The id of a job
    whose worker was killed counts as running for some minutes, so put the row's attempt or `slot` into it. A Redis that does
    not answer is logged, not raised. Raises TypeError for an argument that is no id.
    """
    for value in ids:
        if not isinstance(value, (str, int)):
            raise TypeError(f"Jobs take ids only, not {type(value).__name__}.")
    transaction.on_commit(partial(push, name, ids, queue, job_id, at_front=at_front, seconds=seconds))


def slot(seconds: int) -> int:
    """The number of the current time slot of that length, for job ids: one job in each slot."""
    return int(time.time()) // seconds


def push(
    name: str,
    ids: tuple[str | int, ...],
    queue: str,
    job_id: str,
    *,
    unique: bool = True,
    at_front: bool = False,
    seconds: int | None = None,
) -> bool:
    """Enqueues now. Returns True when Redis took the job or already has it, False when Redis does not answer, or did not a
    moment ago.

    `unique=False` is for reconcilers, which have looked into the queue: RQ would refuse a job that its worker lost.
    """
    if not redis_breaker.may_try():
        return False
    try:
        _put(get_queue(queue), name, ids, job_id, unique=unique, at_front=at_front, seconds=seconds)
    except (RedisError, OSError) as error:
        _rest(error, queue=queue, job_id=job_id)
        return False
    redis_breaker.worked()
    return True


def queued(queue: str) -> set[str] | None:
    """The ids of the jobs that wait in a queue; None when Redis does not answer, or did not a moment ago."""
    if not redis_breaker.may_try():
        return None
    try:
        found = set(get_queue(queue).get_job_ids())
    except (RedisError, OSError) as error:
        _rest(error, queue=queue)
        return None
    redis_breaker.worked()
    return found


def _rest(error: Exception, **where: str) -> None:
    redis_breaker.failed()
    log.warning("not enqueued; a tick will", error=type(error).__name__, rest_seconds=REST_SECONDS, **where)


def _put(
    queue: Queue,
    name: str,
    ids: tuple[str | int, ...],
    job_id: str,
    *,
    unique: bool,
    at_front: bool,
    seconds: int | None,
) -> None:
    """Enqueues; a job of the same id that is over gives way. Does nothing when one waits or runs. Raises RedisError."""
    call = partial(
        queue.enqueue_call,
        name,
        args=ids,
        job_id=job_id,
        timeout=seconds,
        at_front=at_front,
        result_ttl=0,  # a job that found nothing to do must not stand in the way of the next one
        failure_ttl=14 * 86400,
        description=job_id,
    )
    try:
        call(unique=unique)
    except DuplicateJobError:
        known = queue.fetch_job(job_id)
        if known is None or known.get_status() in OVER:
            call(unique=False)
