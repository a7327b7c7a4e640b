"""Time limits and repeats of requests to a cluster."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from adapters.kubernetes.errors import KubernetesError
from engine.cluster.client import called_off

CONNECT_TIMEOUT = 3.05
READ_TIMEOUT = 30.0
T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """Number and times of repeats. Times in seconds."""

    attempts: int = 5
    budget: float = 20.0  # counted from the first try: no repeat starts that would end later
    base: float = 0.2  # doubled each time, with jitter
    cap: float = 5.0
    longest_wait: float = 10.0  # of a Retry-After; with a longer one the error goes to the caller

    def wait_before(self, attempt: int, error: KubernetesError) -> float:
        """Seconds to wait after try number `attempt` (from 1). Jitter spreads the repeats of 32 threads."""
        backoff = min(self.cap, self.base * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(backoff, error.retry_after or 0.0)

    def repeated(self, once: Callable[[], T]) -> T:
        """The result of `once`, which is repeated after passing errors, unless the work is called off. Raises the last try's
        KubernetesError."""
        started = time.monotonic()
        stopping = called_off.get()
        attempt = 1
        while True:
            try:
                return once()
            except KubernetesError as error:
                wait = self.wait_before(attempt, error)
                late = time.monotonic() - started + wait > self.budget
                last = attempt >= self.attempts or late or wait > self.longest_wait
                if last or not _may_help(error) or _stopped(stopping, wait):
                    raise
            attempt += 1


def _stopped(stopping: threading.Event | None, seconds: float) -> bool:
    """Waits before a repeat; whether the work is called off meanwhile."""
    if stopping is not None:
        return stopping.wait(seconds)
    time.sleep(seconds)
    return False


def _may_help(error: KubernetesError) -> bool:
    """Whether the same request may succeed a moment later.

    A 500 can be a passing state of the API server, such as an etcd election. But server-side apply also answers 500 to a
    field that the schema lacks, where a repeat never helps, and to a webhook that does not answer, which the engine
    handles.
    """
    if error.status == 500 and error.reason in ("", "InternalError"):
        return not any(text in error.message for text in ("typed patch object", "failed calling webhook"))
    return not error.permanent and error.status in (0, 408, 429, 500, 502, 503, 504)
