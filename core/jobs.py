"""Handing work to RQ: ids only, after the commit, and never a reason for a request to fail.

The database row is the truth; what does not reach Redis is enqueued again by a reconciler.
"""

from __future__ import annotations

from functools import partial

import structlog
from django.db import transaction
from django_rq import get_queue
from redis.exceptions import RedisError
from rq.exceptions import DuplicateJobError

log = structlog.get_logger(__name__)


def enqueue(name: str, *ids: str | int, queue: str, job_id: str, at_front: bool = False) -> None:
    """Enqueues a job once the transaction is committed (at once outside of one).

    `name`: the dotted name of a function, e.g. `clusters.jobs.refresh_live`: who asks for work does not import it.
    `ids`: its arguments. `at_front`: a person waits for it.

    `job_id`: letters, digits, `_`, `-`; a job of the same id that RQ still knows is not enqueued twice. A Redis that
    does not answer is logged, not raised.
    """
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
    """Enqueues now; whether Redis took it. A duplicate counts as taken.

    `unique=False` is for reconcilers: RQ remembers a job that died for days, and would take the new one for its double.
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
