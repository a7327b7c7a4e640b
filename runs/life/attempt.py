"""What one worker knows while it works on one attempt at a run, and how it learns that it has to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.worker import is_leaving
from engine.errors import SlipwayError
from runs.fence import Fence, FenceLost
from runs.journal import Journal
from runs.life.kind import R

LOOK_SECONDS = 0.3  # between two looks at whether the run is to stop
Answer = TypeVar("Answer")


class CancelRequested(SlipwayError):
    """Somebody asked to cancel; the work stopped before its next write."""


class Leaving(SlipwayError):
    """This worker was asked to end; another one goes on."""


class OutOfTime(SlipwayError):
    """The time limit of the run is over."""


@dataclass
class Attempt(Generic[R]):
    """The state of one attempt. A kind of run adds what its steps find for each other; a take-over finds that again."""

    run: R
    fence: Fence
    journal: Journal
    deadline: float  # time.monotonic()
    warnings: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Gives back what the steps opened. Called before the end is written."""

    def log(self, text: str, *, level: str = "info") -> None:
        """A line of the run's log."""
        self.journal.line(text, level=level)

    def check(self, *, grace: float = 0.0) -> None:
        """Raises when the work is to stop: given up, cancelled, its worker ends, out of time by more than `grace` seconds."""
        if self.journal.lost:
            raise FenceLost("This attempt was given up; another worker has the run.")
        if self.journal.cancelling:
            raise CancelRequested("Cancelled.")
        if is_leaving():
            raise Leaving("This worker is being stopped.")
        if time.monotonic() > self.deadline + grace:
            raise OutOfTime("The time limit of this run is over.")

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns or raises; meanwhile the run can be stopped. For a call to an outside system that may take
        minutes and cannot be broken off: it goes on in its thread, unheard. `ask` must not use the database."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outside")
        try:
            asked = pool.submit(copy_context().run, ask)
            while not wait([asked], timeout=LOOK_SECONDS).done:
                self.check()
            return asked.result()
        finally:
            pool.shutdown(wait=False)

    def remaining(self) -> float:
        """Seconds until the deadline, at least one."""
        return max(1.0, self.deadline - time.monotonic())


W = TypeVar("W", bound=Attempt[Any])
