"""Runs many small pieces of work at once; one thread calls the observer meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from engine.errors import SlipwayError
from engine.types import Observer

THREADS = 16  # more only contend: for the API server's processors, and for ours
CHECK_EVERY = 0.5  # seconds between two calls of observer.check

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(SlipwayError):
    """The work was called off while this piece waited."""


class Talk:
    """Given to each piece of work: sends lines to the observer (which only one thread calls), and pauses until the work is
    called off."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        self.stopping = threading.Event()

    def line(self, text: str) -> None:
        """Tell the observer."""
        self.lines.put((-1, text))

    def pause(self, seconds: float) -> None:
        """Sleep. Raises Stopped when the work is called off meanwhile."""
        if self.stopping.wait(seconds):
            raise Stopped("Called off.")


class Outcomes(Generic[Item, Result]):
    """Runs `work(item, talk)` for every item on up to 16 threads; iterate to get (item, result or error) as
    they come.

    Errors of the family SlipwayError are results; anything else is raised. When the observer's `check` raises,
    what has not begun is dropped, what waits is woken, and requests under way end by themselves.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Talk], Result],
        observer: Observer | None,
        *,
        threads: int = THREADS,
    ) -> None:
        self._items = items
        self._work = work
        self._observer = observer
        self._threads = min(threads, max(1, len(items)))
        self._talk = Talk()

    def __iter__(self) -> Iterator[tuple[Item, Result | SlipwayError]]:
        if not self._items:
            return
        pool = ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="slipway-apply")
        try:
            for index in range(len(self._items)):
                pool.submit(self._run, index)
            yield from self._collect()
        finally:
            self._talk.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, index: int) -> None:
        try:
            outcome: object = self._work(self._items[index], self._talk)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that collects, which raises it
            outcome = error
        self._talk.lines.put((index, outcome))

    def _collect(self) -> Iterator[tuple[Item, Result | SlipwayError]]:
        left = len(self._items)
        while left:
            if self._observer:
                self._observer.check()
            try:
                index, outcome = self._talk.lines.get(timeout=CHECK_EVERY)
            except queue.Empty:
                continue
            if index < 0:
                self._tell(str(outcome))
                continue
            left -= 1
            if isinstance(outcome, BaseException) and not isinstance(outcome, SlipwayError):
                raise outcome
            yield self._items[index], outcome  # type: ignore[misc]

    def _tell(self, text: str) -> None:
        if self._observer:
            self._observer.line(text, level="warning")
