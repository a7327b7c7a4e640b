"""Runs many small pieces of work at once; one thread calls the observer meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from engine.cluster.client import before_write, called_off
from engine.errors import SlipwayError, Stop
from engine.types import Observer

THREADS = 16  # more only contend: for the API server's processors, and for ours
CHECK_EVERY = 0.5  # seconds between two calls of observer.check

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(SlipwayError):
    """The work was called off while this piece waited."""


class Talk:
    """Given to each piece of work: sends lines to the observer (which only one thread calls), asks it, and pauses until the
    work is called off."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer
        self.lines: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        self.stopping = threading.Event()

    def line(self, text: str) -> None:
        """Tell the observer."""
        self.lines.put((-1, text))

    def pause(self, seconds: float) -> None:
        """Sleep. Raises Stopped when the work is called off meanwhile."""
        if self.stopping.wait(seconds):
            raise Stopped("Called off.")

    def confirm(self) -> None:
        """Have the observer confirm that this work may still write. Raises Stopped when the work is called off instead."""
        confirmed = threading.Event()
        self.lines.put((-1, confirmed))
        while not confirmed.wait(CHECK_EVERY):
            self.pause(0.0)

    def make_sure(self) -> None:
        """Right before a write: raises Stopped unless this work is known to be the one that writes. A process that was stopped
        for a while knows it no longer, and asks."""
        while self._observer and not self._observer.is_sure():
            self.confirm()


class Outcomes(Generic[Item, Result]):
    """Runs `work(item, talk)` for every item on up to 16 threads; iterate to get (item, result or error) as
    they come.

    Errors of the family SlipwayError are results; anything else is raised. When the observer stops the work, or the caller leaves
    the loop, what has not begun is dropped, what waits is woken, no request is repeated, and requests under way are waited for as
    long as the observer's error says (engine.errors.Stop): none of them may write after the deploy's end.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Talk], Result],
        observer: Observer | None,
        *,
        threads: int = THREADS,
        writes: bool = False,
    ) -> None:
        """`writes`: the work changes the cluster, so that a stop waits for requests under way."""
        self._items = items
        self._work = work
        self._observer = observer
        self._threads = min(threads, max(1, len(items)))
        self._writes = writes
        self._talk = Talk(observer)

    def __iter__(self) -> Iterator[tuple[Item, Result | SlipwayError]]:
        if not self._items:
            return
        pool = ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="slipway-apply")
        under_way: list[Future[None]] = []
        try:
            under_way = [pool.submit(self._run, index) for index in range(len(self._items))]
            yield from self._collect()
        except BaseException as error:  # also GeneratorExit: the caller gave up after an error
            self._call_off(pool)
            if self._writes:
                wait(under_way, timeout=error.patience if isinstance(error, Stop) else Stop.patience)
            raise
        finally:
            self._call_off(pool)

    def _call_off(self, pool: ThreadPoolExecutor) -> None:
        self._talk.stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, index: int) -> None:
        called_off.set(self._talk.stopping)
        before_write.set(self._talk.make_sure if self._writes else None)
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
                self._answer(outcome)
                continue
            left -= 1
            if isinstance(outcome, BaseException) and not isinstance(outcome, SlipwayError):
                raise outcome
            yield self._items[index], outcome  # type: ignore[misc]

    def _answer(self, said: object) -> None:
        """A line for the log, or the question whether the work may still write."""
        if isinstance(said, threading.Event):
            if self._observer:
                self._observer.confirm()
            said.set()
        elif self._observer:
            self._observer.line(str(said), level="warning")
