"""Reads what the portal's own parts left behind: heartbeats and the lease in the database, the queues in Redis."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry
from rq import Queue as RqQueue
from rq.job import Job
from rq.utils import utcparse

from core import heartbeats, scheduler
from core.heartbeats import Process
from core.status import Notice, registered_notices
from projects import contacts

REDIS_SECONDS = 0.25  # for each answer of Redis
LOOKED_AT = 20  # jobs at the front of a queue, among which the oldest is looked for
GONE, HANGS = "does not answer", "hangs: it does not answer in time"


@dataclass(frozen=True)
class Records:
    """The database's part. `problem`: why it cannot be used, else empty. `scheduler_silent`: seconds since a scheduler last
    worked, None for never. `notices`: banners of apps."""

    problem: str
    seconds: float
    processes: tuple[Process, ...] = ()
    scheduler_silent: float | None = None
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Queue:
    """A queue of jobs. `oldest`: seconds for which its oldest job has waited, None without one."""

    name: str
    length: int
    oldest: float | None


@dataclass(frozen=True)
class Bell:
    """Redis' part. `problem`: why it cannot be used, else empty; then there are no queues."""

    problem: str
    seconds: float
    queues: tuple[Queue, ...] = ()


def read_records() -> Records:
    """Asks the database. Never raises for one that does not answer."""
    began = time.monotonic()
    try:
        problem = _migrations_missing()
        if problem:
            return Records(problem, time.monotonic() - began)
        found = (tuple(heartbeats.processes()), scheduler.silent_for(), tuple(registered_notices()))
    except DatabaseError:
        return Records(GONE, time.monotonic() - began)
    return Records("", time.monotonic() - began, *found)


_all_applied = False  # what is applied stays so: the files are read until then only


def _migrations_missing() -> str:
    global _all_applied
    if _all_applied:
        return ""
    executor = MigrationExecutor(connection)
    waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    _all_applied = not waiting
    return f"{waiting} migrations are not applied" if waiting else ""


def read_bell() -> Bell:
    """Asks Redis, with short timeouts and without repeats. Never raises for one that does not answer."""
    began = time.monotonic()
    problem = ""
    queues: tuple[Queue, ...] = ()
    try:
        with Redis.from_url(
            settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0), decode_responses=True,
        ) as redis:  # fmt: skip
            redis.ping()
            queues = tuple(_queue(redis, name) for name in settings.RQ_QUEUES)
    except RedisTimeout:
        problem = HANGS
    except (RedisError, OSError, ValueError):
        problem = GONE
    return Bell(problem, time.monotonic() - began, queues)


def note_bell(bell: Bell) -> None:
    """Notes in the contacts whether Redis answered."""
    contacts.note(contacts.REDIS, f"Redis {bell.problem}." if bell.problem else "")


def _queue(redis: Redis, name: str) -> Queue:
    key = RqQueue.redis_queue_namespace_prefix + name
    length = redis.llen(key)
    ids = redis.lrange(key, 0, LOOKED_AT - 1) if length else []
    asking = redis.pipeline(transaction=False)
    for job_id in ids:
        asking.hget(Job.key_for(str(job_id)), "enqueued_at")
    times = [utcparse(str(text)) for text in asking.execute() if text]
    oldest = min(times, default=None)
    waited = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else None
    return Queue(name, int(length), waited)
