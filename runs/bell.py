"""The bell: Redis tells the web processes that a run has news; the news itself is in the database."""

from __future__ import annotations

import time
from functools import cached_property
from uuid import UUID

from django_rq import get_connection
from redis import Redis
from redis.exceptions import RedisError

CHANNEL = "slipway:runs"
LOG, CHANGED = "log", "changed"
REST_SECONDS = 5.0


class Bell:
    """The bell of one run. After a failed publish, Redis is skipped for REST_SECONDS; viewers poll the database meanwhile.

    It keeps its connection, so make it in the process that rings, after a fork.
    """

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self._rests_until = 0.0

    @cached_property
    def _redis(self) -> Redis:
        return get_connection("short")

    def ring(self, what: str) -> None:
        """Publishes `<run id> <what>` (LOG or CHANGED). Raises nothing."""
        if time.monotonic() < self._rests_until:
            return
        try:
            self._redis.publish(CHANNEL, f"{self.run_id} {what}")
        except (RedisError, OSError):
            self._rests_until = time.monotonic() + REST_SECONDS
