"""Looks at the database and at Redis in threads, so that no page waits for one that hangs.

Each process keeps the last answers for some seconds. Pages, `/readyz`, `/status/` and `/metrics` all read them here, so
they agree.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog
from django.db import connections

from portal.status import pulse
from portal.status.pulse import Bell, Records

log = structlog.get_logger(__name__)
T = TypeVar("T")
FRESH_SECONDS = 2.0
OLD_SECONDS = 15.0  # after that an answer says nothing about now
PAGE_SECONDS = 0.3  # what a page waits at most, and only when there is no answer yet or it is old
PROBE_SECONDS = 0.4


def start(run: Callable[[], None]) -> None:
    """Runs it in a thread of its own, which leaves no database connection behind."""

    def alone() -> None:
        try:
            run()
        finally:
            connections.close_all()

    threading.Thread(target=alone, name="status", daemon=True).start()


@dataclass
class Kept(Generic[T]):
    """The last result of `read`, and its age. At most one thread of the process reads at a time."""

    read: Callable[[], T]
    fresh: float = FRESH_SECONDS
    _value: T | None = None
    _at: float = float("-inf")
    _reading: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def look(self) -> None:
        """Starts a read, unless the last result is fresh or one is under way."""
        with self._changed:
            if self._reading or time.monotonic() - self._at <= self.fresh:
                return
            self._reading = True
        start(self._renew)

    def value(self, until: float, enough: float = FRESH_SECONDS) -> T | None:
        """The result, as soon as it is at most `enough` seconds old, waiting until `until` (monotonic) for that. After that
        one of at most OLD_SECONDS, else None."""
        with self._changed:
            while self._age() > enough and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._value if self._age() <= OLD_SECONDS else None

    def forget(self) -> None:
        """The next look reads again."""
        with self._changed:
            self._value, self._at = None, float("-inf")

    def _age(self) -> float:
        return time.monotonic() - self._at

    def _renew(self) -> None:
        value: T | None = None
        try:
            value = self.read()
        except Exception:  # the edge of the thread: the next look tries again
            log.exception("the state of the portal was not read")
        with self._changed:
            self._reading = False
            if value is not None:
                self._value, self._at = value, time.monotonic()
            self._changed.notify_all()


RECORDS: Kept[Records] = Kept(pulse.read_records)
BELL: Kept[Bell] = Kept(pulse.read_bell)


@dataclass(frozen=True)
class Pulse:
    """What is known now of the database and of Redis; None where there was no answer in time."""

    records: Records | None
    bell: Bell | None


def now(wait: float = PROBE_SECONDS) -> Pulse:
    """The state, at most FRESH_SECONDS old where `wait` seconds suffice to read it."""
    return _pulse(wait, FRESH_SECONDS)


def for_page() -> Pulse:
    """The last known state, which a page does not wait for unless it is old."""
    return _pulse(PAGE_SECONDS, OLD_SECONDS)


def _pulse(wait: float, enough: float) -> Pulse:
    until = time.monotonic() + wait
    RECORDS.look()
    BELL.look()
    return Pulse(RECORDS.value(until, enough), BELL.value(until, enough))
