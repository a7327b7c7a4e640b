"""A breaker: after a failure, an outside service is left alone for some seconds, so that a service that hangs costs one
timeout and not one for each call. Each process has its own."""

from __future__ import annotations

import threading
import time


class Breaker:
    """Closed at first. `failed` opens it for `seconds`; afterwards one call may try (half-open), and its result decides.

    Threads may share it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._is_open = False
        self._next_try = 0.0

    def may_try(self) -> bool:
        """Whether the caller may call the service now. Of many callers of an open breaker one may, once in `seconds`."""
        with self._lock:
            if not self._is_open:
                return True
            if time.monotonic() < self._next_try:
                return False
            self._next_try = time.monotonic() + self._seconds
            return True

    def failed(self) -> None:
        """The service did not answer: nobody calls it for some seconds."""
        with self._lock:
            self._is_open = True
            self._next_try = time.monotonic() + self._seconds

    def worked(self) -> None:
        """The service answered."""
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the last call failed."""
        return self._is_open
