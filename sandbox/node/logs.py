"""Container logs: kept in memory per run of a container, served as a kubelet serves them to the API server."""

from __future__ import annotations

import datetime
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.node.clock import micro_stamp, now

_LINES_KEPT = 1000


@dataclass
class Run:
    """What one run of a container printed."""

    lines: deque[tuple[datetime.datetime, str]] = field(default_factory=lambda: deque(maxlen=_LINES_KEPT))
    written: int = 0  # lines ever written, of which the last ones are kept
    ended: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which part of a log, as `PodLogOptions` says it. `tail` < 0 means all."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int = -1
    since: datetime.datetime | None = None
    limit_bytes: int = 0


class Logs:
    """The logs of all containers. May be used by many threads."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Run]] = {}  # (pod uid, container): previous and current run
        self._changed = threading.Condition()

    def begin(
        self, uid: str, container: str, lines: Iterable[str], when: datetime.datetime | None = None
    ) -> None:
        """A run begins and prints `lines`; the run before becomes the previous one."""
        run = Run()
        with self._changed:
            runs = self._runs.setdefault((uid, container), [])
            for earlier in runs:
                earlier.ended = True
            runs.append(run)
            del runs[:-2]
            self._write(run, lines, when)

    def write(self, uid: str, container: str, lines: Iterable[str]) -> None:
        """More lines of the current run, if there is one."""
        with self._changed:
            if runs := self._runs.get((uid, container)):
                self._write(runs[-1], lines, None)

    def end(self, uid: str, container: str) -> None:
        """The current run is over: a reader that follows it has read everything."""
        with self._changed:
            for run in self._runs.get((uid, container), []):
                run.ended = True
            self._changed.notify_all()

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        with self._changed:
            for key in [k for k in self._runs if k[0] == uid]:
                for run in self._runs.pop(key):
                    run.ended = True
            self._changed.notify_all()

    def read(self, uid: str, container: str, wanted: Wanted) -> Iterator[str]:
        """The lines that are wanted, each with its newline; with `follow` until the run ends."""
        run = self._run(uid, container, wanted.previous)
        if run is None:
            return
        left = wanted.limit_bytes or None
        for text in self._texts(run, wanted):
            if left is not None:
                text = text.encode()[:left].decode(errors="ignore")
                left -= len(text.encode())
            yield text
            if left == 0:
                return

    def _texts(self, run: Run, wanted: Wanted) -> Iterator[str]:
        with self._changed:
            seen, lines = run.written, list(run.lines)
        if wanted.since:
            lines = [x for x in lines if x[0] >= wanted.since]
        if wanted.tail >= 0:
            lines = lines[-wanted.tail :] if wanted.tail else []
        yield from (_text(x, wanted.timestamps) for x in lines)
        while wanted.follow:
            with self._changed:
                if run.written == seen and not run.ended:
                    # A wake-up now and then, with an empty text, lets the server notice readers that have left.
                    self._changed.wait(timeout=10)
                fresh = list(run.lines)[-(run.written - seen) :] if run.written > seen else []
                seen, ended = run.written, run.ended
            yield from (_text(x, wanted.timestamps) for x in fresh)
            if ended:
                return
            if not fresh:
                yield ""

    def _run(self, uid: str, container: str, previous: bool) -> Run | None:
        with self._changed:
            runs = self._runs.get((uid, container), [])
            place = 2 if previous else 1
            return runs[-place] if len(runs) >= place else None

    def _write(self, run: Run, lines: Iterable[str], when: datetime.datetime | None) -> None:
        before = run.written
        for line in lines:
            # Lines of one moment keep their order by a microsecond each.
            run.lines.append(((when or now()) + datetime.timedelta(microseconds=run.written - before), line))
            run.written += 1
        self._changed.notify_all()


def _text(line: tuple[datetime.datetime, str], with_time: bool) -> str:
    return f"{micro_stamp(line[0])} {line[1]}\n" if with_time else f"{line[1]}\n"
