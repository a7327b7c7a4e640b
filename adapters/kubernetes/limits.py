"""How long a request to a cluster may take, and how often it is repeated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from adapters.kubernetes.errors import KubernetesError

CONNECT_TIMEOUT = 3.05
READ_TIMEOUT = 30.0
T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a repeatable request is repeated. Times in seconds."""

    attempts: int = 5
    budget: float = 20.0  # no repeat is started that would end after this, counted from the first try
    base: float = 0.2  # doubled each time, with jitter
    cap: float = 5.0
    longest_wait: float = 10.0  # of a Retry-After; a longer one is told to the caller instead

    def wait_before(self, attempt: int, error: KubernetesError) -> float:
        """Seconds before try number `attempt` + 1 (from 1). Jitter keeps 32 threads from coming back at once."""
        backoff = min(self.cap, self.base * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(backoff, error.retry_after or 0.0)

    def repeated(self, once: Callable[[], T]) -> T:
        """What `once` returns, at its first or a later try. Raises the last try's KubernetesError."""
        started = time.monotonic()
        attempt = 1
        while True:
            try:
                return once()
            except KubernetesError as error:
                wait = self.wait_before(attempt, error)
                late = time.monotonic() - started + wait > self.budget
                last = attempt >= self.attempts or late or wait > self.longest_wait
                if last or not _may_help(error):
                    raise
            time.sleep(wait)
            attempt += 1


def _may_help(error: KubernetesError) -> bool:
    """Whether the same request may pass a moment later.

    A 500 is an answer of the API server's own (an etcd election, say), but server-side apply also says 500 to
    a field that the schema does not have, and to a webhook that does not answer: the first never helps, the
    second is the engine's affair.
    """
    if error.status == 500 and error.reason in ("", "InternalError"):
        return not any(text in error.message for text in ("typed patch object", "failed calling webhook"))
    return not error.permanent and error.status in (0, 408, 429, 500, 502, 503, 504)
