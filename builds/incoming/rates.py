"""Limits for deliveries, counted in this process's memory: no query and no Redis, so that a flood costs neither.

A minute's counts begin anew with each minute. Each web process counts for itself.
"""

from __future__ import annotations

import threading
import time

WINDOW = 60
MOST_NAMES = 10_000  # of a minute; beyond, all new names share one count


class Window:
    """Counts per name and minute, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def is_full(self, name: str) -> bool:
        """Whether the name has reached the limit in this minute."""
        with self._lock:
            self._turn()
            return self._counts.get(self._known(name), 0) >= self.limit

    def take(self, name: str) -> bool:
        """Counts one. False when the limit was reached before."""
        with self._lock:
            self._turn()
            known = self._known(name)
            used = self._counts.get(known, 0)
            if used >= self.limit:
                return False
            self._counts[known] = used + 1
            return True

    def forget(self) -> None:
        """Begins anew."""
        with self._lock:
            self._counts.clear()

    def _known(self, name: str) -> str:
        return name if name in self._counts or len(self._counts) < MOST_NAMES else ""

    def _turn(self) -> None:
        minute = int(time.monotonic() // WINDOW)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()


# Refused deliveries of one address, and of all together: beyond, nothing is written. Of an address that has reached its limit no
# project's secret is tried either.
REFUSED_HERE = Window(30)
REFUSED = Window(300)
# Signed ones of one secret. GitHub sends hundreds in a busy minute.
SIGNED = Window(6000)
