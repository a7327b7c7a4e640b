"""Many slow lives on few threads: each is a generator that yields how many seconds it wants to sleep.

A life reads top-down like the thing it plays ("pull, start, wait, become ready") and costs nothing while it sleeps.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

Life = Generator[float, None, None]


@dataclass(eq=False)
class _Task:
    life: Life
    lock: threading.RLock
    ended: bool = False


@dataclass
class Loop:
    """Runs lives. Those that share a lock never take a step at the same time."""

    workers: int = 8
    _heap: list[tuple[float, int, _Task]] = field(default_factory=list)
    _tasks: dict[str, _Task] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def run(self) -> None:
        """Starts the threads; returns at once. They end with the process."""
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="life")
        threading.Thread(target=self._dispatch, name="loop", daemon=True).start()

    def start(self, key: str, life: Life, lock: threading.RLock) -> None:
        """Begins a life now. One that goes on under the same key takes no further step."""
        task = _Task(life, lock)
        with self._changed:
            self._end(key)
            self._tasks[key] = task
            self._push(0, task)

    def stop(self, key: str) -> None:
        """Ends the life of that key, if there is one, after the step it may be in."""
        with self._changed:
            self._end(key)

    def _end(self, key: str) -> None:
        if task := self._tasks.pop(key, None):
            task.ended = True

    def _push(self, delay: float, task: _Task) -> None:
        heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), task))
        self._changed.notify()

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0][0] > time.monotonic():
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                task = heapq.heappop(self._heap)[2]
            self._pool.submit(self._step, task)

    def _step(self, task: _Task) -> None:
        """One step of a life: until it wants to sleep again, or ends. A bug in one life must not end the others."""
        try:
            with task.lock:
                if task.ended:
                    task.life.close()
                    return
                delay = next(task.life)
        except StopIteration:
            self._forget(task)
        except Exception:  # noqa: BLE001 - the edge of all lives: what went wrong is told, the others go on
            traceback.print_exc(file=sys.stderr)
            self._forget(task)
        else:
            with self._changed:
                self._push(delay, task)

    def _forget(self, task: _Task) -> None:
        with self._changed:
            for key in [k for k, t in self._tasks.items() if t is task]:
                del self._tasks[key]
