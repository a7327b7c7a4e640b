"""Writes a run's log and its heartbeat, from a thread of its own, fenced by the attempt.

Lines are collected and written together every tenth of a second: a line is in the database within that time, and a
thousand lines cost ten transactions, not a thousand.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.db.models import F, Max, Sum

from core.redactor import Redactor
from core.storable import storable_text
from runs.bell import CHANGED, LOG, Bell
from runs.fence import Fence, FenceLost
from runs.models import LogChunk, State

log = structlog.get_logger(__name__)
FLUSH_SECONDS = 0.1
BEAT_SECONDS = 3.0
LONGEST_LINE = 4000
KEPT_HEAD = 5_000
KEPT_TAIL = 20_000


@dataclass(frozen=True)
class Line:
    """One line before it is written. `at`: seconds since the epoch."""

    at: float
    level: str
    step: str
    text: str

    def packed(self) -> str:
        """The form inside a chunk (runs/models.LogChunk)."""
        return f"{self.at:.3f}\t{self.level}\t{self.step}\t{self.text}"


class Journal:
    """The log of one attempt. Use as a context manager; `line()` never waits for the database.

    `lost`: the fence was lost, stop. `cancelling`: somebody asked to cancel. Both are noticed within BEAT_SECONDS,
    earlier when lines are written.
    """

    def __init__(self, fence: Fence, redactor: Redactor) -> None:
        self.fence, self.redactor, self.bell = fence, redactor, Bell(fence.run_id)
        self.step = ""
        self.lost = self.cancelling = False
        self._lines: list[Line] = []
        self._lock, self._writing, self._stop = threading.Lock(), threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="journal", daemon=True)
        self._find_end()

    def _find_end(self) -> None:
        """Where the log goes on: after what this or an earlier attempt wrote."""
        chunks = LogChunk.objects.filter(run_id=self.fence.run_id)
        last = chunks.aggregate(sequence=Max("sequence"), kept=Sum("line_count"))
        newest = chunks.filter(sequence=last["sequence"]).first()
        self._sequence = (last["sequence"] or 0) + 1
        self._kept = last["kept"] or 0
        self._next_line = newest.first_line + newest.line_count if newest else 1
        self._end_is_known = True

    def __enter__(self) -> Journal:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.flush()

    def line(self, text: str, *, level: str = "info") -> None:
        """Adds a line (several, if `text` has line ends), redacted, to the current step's part of the log."""
        now = time.time()
        lines = [
            Line(now, level, self.step, part[:LONGEST_LINE])
            for part in storable_text(self.redactor.redact(text)).splitlines() or [""]
        ]
        with self._lock:
            self._lines += lines

    def changed(self) -> None:
        """Tells viewers that something but the log changed (a step, an object). Call it after the commit."""
        self.bell.ring(CHANGED)

    def flush(self) -> None:
        """Writes what is collected. Raises nothing: a lost fence sets `lost`, a database error keeps the lines."""
        with self._writing:
            with self._lock:
                lines, self._lines = self._lines, []
            if not lines or self.lost:
                return
            try:
                self._write(lines)
            except FenceLost:
                self.lost = True
            except DatabaseError:
                log.exception("log lines are kept back until the database answers")
                self._end_is_known = False  # whether the chunk was written before the error is not known
                close_old_connections()
                with self._lock:
                    self._lines = lines + self._lines

    def _write(self, lines: list[Line]) -> None:
        if not self._end_is_known:
            self._find_end()
        with self.fence.held(log_lines=F("log_lines") + len(lines)):
            LogChunk.objects.create(
                run_id=self.fence.run_id,
                sequence=self._sequence,
                first_line=self._next_line,
                line_count=len(lines),
                text="\n".join(line.packed() for line in lines),
            )
            self._kept += len(lines)
            if self._kept > KEPT_HEAD + KEPT_TAIL:
                self._drop_middle()
        self._sequence += 1
        self._next_line += len(lines)
        self.bell.ring(LOG)

    def _drop_middle(self) -> None:
        """A log that never ends keeps its head and its tail; the gap shows in the line numbers."""
        middle = LogChunk.objects.filter(run_id=self.fence.run_id, first_line__gt=KEPT_HEAD).order_by(
            "sequence"
        )
        for pk, count in middle.values_list("pk", "line_count"):
            if self._kept <= KEPT_HEAD + KEPT_TAIL:
                return
            LogChunk.objects.filter(pk=pk).delete()
            self._kept -= count

    def _loop(self) -> None:
        next_beat = 0.0
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_SECONDS
                self._beat()
        connections.close_all()

    def _beat(self) -> None:
        """A heartbeat, and a look at whether somebody asked to cancel."""
        try:
            with self.fence.held():
                state = self.fence.model._default_manager.values_list("state", flat=True).get(
                    run_id=self.fence.run_id
                )
            self.cancelling = state == State.CANCELLING
        except FenceLost:
            self.lost = True
        except DatabaseError:
            log.exception("no heartbeat: the database does not answer")
            close_old_connections()
