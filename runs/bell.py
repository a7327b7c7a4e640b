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
    """Rings for one run. A Redis that does not answer is left alone for some seconds: viewers look by themselves.

    It keeps its connection: make it in the process that rings, not before a fork.
    """

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self._rests_until = 0.0

    @cached_property
    def _redis(self) -> Redis:
        return get_connection("short")

    def ring(self, what: str) -> None:
        """Publishes `<run id> <what>`; never raises."""
        if time.monotonic() < self._rests_until:
            return
        try:
            self._redis.publish(CHANNEL, f"{self.run_id} {what}")
        except (RedisError, OSError):
            self._rests_until = time.monotonic() + REST_SECONDS
