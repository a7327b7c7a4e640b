"""Enqueues jobs in RQ: with ids only, after the commit. A Redis that is down never makes a request fail.

The database row says what is to be done; a reconciler enqueues a job again that did not reach Redis.
"""

from __future__ import annotations

from functools import partial

import structlog
from django.db import transaction
from django_rq import get_queue
from redis.exceptions import RedisError
from rq.exceptions import DuplicateJobError

from core.listed import check_listed

log = structlog.get_logger(__name__)


def enqueue(name: str, *ids: str | int, queue: str, job_id: str, at_front: bool = False) -> None:
    """Enqueues a job once the transaction is committed (at once outside of one).

    `name`: the dotted name of a function, e.g. `clusters.jobs.refresh_live`, so that the caller need not import it.
    `ids`: its arguments. `at_front`: put it first in the queue, because a person waits for it.

    `job_id`: letters, digits, `_`, `-`; RQ does not enqueue a second job with an id that it still knows. A Redis that
    does not answer is logged, not raised. Raises TypeError for an argument that is no id, NotListed for a name that
    `settings.JOBS` lacks.
    """
    check_listed(name)
    for value in ids:
        if not isinstance(value, (str, int)):
            raise TypeError(f"Jobs take ids only, not {type(value).__name__}.")
    more = {"at_front": True} if at_front else {}
    transaction.on_commit(partial(push, name, ids, queue, job_id, **more))


def push(
    name: str,
    ids: tuple[str | int, ...],
    queue: str,
    job_id: str,
    *,
    unique: bool = True,
    at_front: bool = False,
) -> bool:
    """Enqueues now. Returns True when Redis took the job or already has it, False when Redis does not answer.

    `unique=False` is for reconcilers: RQ remembers a dead job for days and would refuse the new one as a duplicate.
    """
    try:
        get_queue(queue).enqueue_call(
            name,
            args=ids,
            job_id=job_id,
            unique=unique,
            at_front=at_front,
            result_ttl=0,  # a job that found nothing to do must not stand in the way of the next one
            failure_ttl=14 * 86400,
            description=job_id,
        )
    except DuplicateJobError:
        return True
    except (RedisError, OSError) as error:
        log.warning(
            "not enqueued; the reconciler will", job_id=job_id, queue=queue, error=type(error).__name__
        )
        return False
    return True
