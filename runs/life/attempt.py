"""The state of one worker's attempt at a run, and the check whether it must stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.worker import is_leaving
from engine.errors import Stop
from runs.fence import Fence, FenceLost
from runs.journal import Journal
from runs.life.kind import R

LOOK_SECONDS = 0.3  # between two checks whether the run must stop
Answer = TypeVar("Answer")


class CancelRequested(Stop):
    """A cancel was requested; the work stopped before its next write."""


class Leaving(Stop):
    """This worker must end (for example in a rolling update); another one goes on with the run."""

    patience = 2.0  # its time is short; the worker that goes on writes the same


class OutOfTime(Stop):
    """The run exceeded its time limit."""


@dataclass
class Attempt(Generic[R]):
    """The state of one attempt. Kinds of run extend it with the results of their steps; a worker that takes over computes
    these again."""

    run: R
    fence: Fence
    journal: Journal
    deadline: float  # time.monotonic()
    project_slug: str = ""  # pages about this project show the steps
    warnings: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Closes resources that the steps opened. Called before the end is written."""

    def log(self, text: str, *, level: str = "info", step: str = "") -> None:
        """Writes a line to the run's log, in the part of `step` or of the current step."""
        self.journal.line(text, level=level, step=step)

    def check(self, *, grace: float = 0.0) -> None:
        """Raises when the work must stop: FenceLost, CancelRequested, Leaving, or OutOfTime once the deadline is exceeded by
        more than `grace` seconds."""
        if self.journal.lost:
            raise FenceLost("This attempt was given up; another worker has the run.")
        if self.journal.cancelling:
            raise CancelRequested("Cancelled.")
        if is_leaving():
            raise Leaving("This worker is being stopped.")
        if time.monotonic() > self.deadline + grace:
            raise OutOfTime("The time limit of this run is over.")

    def confirm(self) -> None:
        """Like `check`, and asks the database whether this attempt is the current one: the journal may know it seconds later."""
        self.check()
        with self.journal.held():
            pass

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Calls `ask` in a thread and returns its result; raises its error, or as `check` when the run must stop meanwhile. For
        calls to outside systems that take minutes and cannot be interrupted: after a stop, the thread goes on and its result
        is dropped. `ask` must not use the database."""
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
