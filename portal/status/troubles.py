"""What is wrong with the portal itself, in plain words: what stopped, what still works, what to do.

Banners and warnings are made of these. They are found from what the processes left behind, so the web processes need
neither scheduler nor worker for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.heartbeats import WORKER, Process
from core.status import Notice
from portal.status.pulse import Bell, Queue, Records
from portal.status.watch import Pulse
from ui.words import duration

SCHEDULER_SECONDS = 45.0  # a rolling update changes schedulers in less
WAITED_SECONDS = 30.0  # a queue without workers
STUCK_SECONDS = 600.0  # a queue whose workers do not keep up
OPTIONAL = ("builds",)  # a portal that builds nothing has no workers for it
KEY = "portal."  # how the keys of these troubles begin
NEEDS = {
    "deploys": "Deploys that are asked for are kept and start when one is back",
    "builds": "Builds that are asked for are kept and start when one is back",
    "live": "Pages show older states of clusters",
    "messages": "Messages wait",
    "git": "Pages show older commits",
    "short": "Pages show older versions of secrets",
    "registry": "Pull credentials are not renewed; those in place live for hours, and deploys renew their own",
}


def found(pulse: Pulse) -> list[Notice]:
    """The troubles, the worst first. None of a database that does not answer: without it there are no pages."""
    troubles = [*_of_redis(pulse.bell), *_of_scheduler(pulse.records), *_of_queues(pulse)]
    return [*troubles, *(pulse.records.notices if pulse.records else ())]


def _of_redis(bell: Bell | None) -> Iterator[Notice]:
    problem = "gives no answer in time" if bell is None else bell.problem
    if problem:
        yield Notice(
            f"{KEY}redis",
            f"Redis {problem}. Pages work and deploys can be asked for, but nothing starts until it is back.",
            remedy="Start Redis again, or check REDIS_URL and the network. Nothing is lost: the database knows what waits.",
        )


def scheduler_is_silent(records: Records) -> bool:
    """Whether no scheduler has worked for SCHEDULER_SECONDS."""
    return records.scheduler_silent is None or records.scheduler_silent > SCHEDULER_SECONDS


def _of_scheduler(records: Records | None) -> Iterator[Notice]:
    if records is None or records.problem or not scheduler_is_silent(records):
        return
    silent = records.scheduler_silent
    when = "has not run yet" if silent is None else f"has not worked for {duration(silent)}"
    yield Notice(
        f"{KEY}scheduler",
        f"The scheduler {when}. Running deploys go on, but live states grow old, and no deploy that loses its worker is "
        "taken over.",
        remedy="Start it (manage.py scheduler) and look at its log.",
    )


def workers_of(queue: str, records: Records) -> list[Process]:
    """The living workers that take jobs of a queue."""
    return [one for one in records.processes if one.kind == WORKER and one.lives and queue in one.queues]


def _of_queues(pulse: Pulse) -> Iterator[Notice]:
    if pulse.records is None or pulse.records.problem or pulse.bell is None:
        return
    for queue in pulse.bell.queues:
        if is_forsaken(queue, pulse.records):
            yield _forsaken(queue)
        elif is_stuck(queue):
            yield _stuck(queue)


def is_forsaken(queue: Queue, records: Records) -> bool:
    """Whether jobs wait for a worker, and there is none."""
    return (queue.oldest or 0) > WAITED_SECONDS and not workers_of(queue.name, records)


def is_stuck(queue: Queue) -> bool:
    """Whether jobs wait for long although workers live. Deploys and builds may rightly wait for hours, all other jobs are
    short."""
    return queue.name not in ("deploys", "builds") and (queue.oldest or 0) > STUCK_SECONDS


def _forsaken(queue: Queue) -> Notice:
    waiting = f"{queue.length} job{'' if queue.length == 1 else 's'} waiting for {duration(queue.oldest)}"
    rest = NEEDS.get(queue.name, "What waits is kept")
    return Notice(
        f"{KEY}queue.{queue.name}",
        f"No worker takes jobs of the queue “{queue.name}” ({waiting}). {rest}.",
        remedy=f"Start one (manage.py rqworker {queue.name}) and look at the workers' logs.",
    )


def _stuck(queue: Queue) -> Notice:
    return Notice(
        f"{KEY}queue.{queue.name}",
        f"The queue “{queue.name}” does not keep up: its oldest job has waited for {duration(queue.oldest)}. "
        f"{NEEDS.get(queue.name, 'What waits is kept')}.",
        state="warning",
        remedy=f"Look at what its workers do below; start more (manage.py rqworker {queue.name}).",
    )
