"""The copy of a container's log is bounded, and what is not copied is not read."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterator
from typing import Any

from engine.rollout.joblog import MAX_LENGTH, MAX_LINES, ContainerLog


class Endless:
    """A log that never ends."""

    def __init__(self) -> None:
        self.read = 0
        self.closed = False

    def __iter__(self) -> Iterator[str]:
        for self.read in itertools.count(1):
            if self.closed:
                return
            yield "x" * (MAX_LENGTH + 1)

    def close(self) -> None:
        self.closed = True


class Cluster:
    """A client that has one log."""

    def __init__(self) -> None:
        self.log = Endless()

    def lines(self, path: str, *, query: Any = None) -> Endless:
        return self.log


def test_a_log_without_an_end_is_read_to_its_limit() -> None:
    cluster: Any = Cluster()
    out: queue.SimpleQueue[str] = queue.SimpleQueue()
    log = ContainerLog(cluster, "/log", "main", out)
    deadline = time.monotonic() + 60
    while out.qsize() <= MAX_LINES and time.monotonic() < deadline:
        time.sleep(0.02)
    log.close(wait=10)
    lines = [out.get_nowait() for _ in range(out.qsize())]
    assert len(lines) == MAX_LINES + 1
    assert {len(line) for line in lines[:-1]} == {MAX_LENGTH}
    assert lines[-1] == "… the rest of this log is not copied."
    assert cluster.log.closed
    assert cluster.log.read <= MAX_LINES + 2
