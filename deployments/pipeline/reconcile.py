"""The reconciler: the only cure for what queues, workers and machines lose (design.md §4.2, style.md §5.5-5.7).

It runs every five seconds in the scheduler's process and needs nothing but the database; Redis is asked only what is
queued. Everything it does is a conditional update, so running it twice does no harm.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.utils import timezone
from django_rq import get_queue
from redis.exceptions import RedisError

from core.jobs import push
from deployments.gate import queue, turns, undoing
from deployments.gate.ending import End, end_given_up
from deployments.models import Deploy
from runs.models import ACTIVE, State

log = structlog.get_logger(__name__)
HEARTBEAT_LOST = timedelta(seconds=20)
CANCEL_DEADLINE = timedelta(seconds=120)
MOST_ATTEMPTS = 5


def reconcile() -> None:
    """Everything, in order: end what is being cancelled, take over what lost its worker, enqueue what the queue lost."""
    for deploy in Deploy.objects.filter(state__in=ACTIVE).select_related("environment__project"):
        try:
            tend(deploy)
        except Exception:  # one deploy that cannot be tended must not keep all others waiting
            log.exception("a deploy could not be tended", deploy=deploy.number)
    enqueue_lost()


def tend(deploy: Deploy) -> None:
    """One running or cancelling deploy."""
    now = timezone.now()
    silent = deploy.heartbeat_at is None or deploy.heartbeat_at < now - HEARTBEAT_LOST
    unclaimed = deploy.worker == ""
    if deploy.state == State.CANCELLING:
        if silent or unclaimed:
            end_given_up(deploy, End(State.CANCELLED, cancelled_without_worker(deploy)))
        elif deploy.cancel_requested_at and deploy.cancel_requested_at < now - CANCEL_DEADLINE:
            end_given_up(
                deploy,
                End(
                    State.ABANDONED,
                    "It was cancelled but did not stop in time; the portal gave it up.",
                    "What its worker had begun may still be going on for some minutes; compare the environment's page.",
                ),
            )
    elif silent and not unclaimed:
        take_over(deploy)


def cancelled_without_worker(deploy: Deploy) -> str:
    """Who cancelled, and what becomes of what was applied."""
    rollback = undoing.follower(deploy)
    then = undoing.sentence(rollback) if rollback else "what was applied stays"
    return f"{deploy.cancelled_by or 'Somebody'} cancelled it after its worker had stopped; {then}."


def take_over(deploy: Deploy) -> bool:
    """Gives a deploy whose worker fell silent to the next one, or ends it when that happened too often."""
    if deploy.attempt >= MOST_ATTEMPTS:
        return end_given_up(
            deploy,
            End(State.ERRORED, f"Its worker stopped {MOST_ATTEMPTS} times; the portal does not try again.",
                "Look at the workers' logs, then deploy again."),
        )  # fmt: skip
    rows = Deploy.objects.filter(
        pk=deploy.pk, attempt=deploy.attempt, state=State.RUNNING, heartbeat_at=deploy.heartbeat_at
    )
    if rows.update(attempt=deploy.attempt + 1, worker="", heartbeat_at=timezone.now()) != 1:
        return False
    log.warning(
        "a worker fell silent; its deploy is given to another", deploy=deploy.number, worker=deploy.worker
    )
    return True


def waiting_for_a_worker() -> list[Deploy]:
    """Deploys that could start or go on now: the first in line of each idle environment, and those taken over."""
    active = Deploy.objects.filter(state__in=ACTIVE)
    queued = Deploy.objects.filter(state=State.QUEUED).exclude(environment__in=active.values("environment"))
    first = Deploy.objects.filter(number__in=turns.first_numbers(queued))
    return [*first, *active.filter(worker="", state=State.RUNNING)]


def enqueue_lost() -> None:
    """Rings again for every deploy that waits for a worker and is not in the queue.

    A job that a worker has just popped may be enqueued twice by this; the second one claims nothing and ends.
    """
    waiting = waiting_for_a_worker()
    if not waiting:
        return
    try:
        queued = set(get_queue(queue.QUEUE).get_job_ids())
    except (RedisError, OSError) as error:
        log.warning("the queue cannot be read", error=type(error).__name__)
        return
    for deploy in waiting:
        if queue.job_id(deploy) not in queued:
            push(
                queue.RUN_DEPLOY,
                (str(deploy.run_id), deploy.attempt),
                queue.QUEUE,
                queue.job_id(deploy),
                unique=False,
            )
