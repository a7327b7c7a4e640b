"""Writes a run's log and its heartbeat in a thread of its own, fenced by the attempt.

Lines are written in batches every tenth of a second: a line reaches the database within that time, and many lines need few
transactions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.db.models import F, Max, Sum

from core.redactor import Redactor
from core.storable import storable_text
from runs.bell import CHANGED, LOG, Bell
from runs.fence import Fence, FenceLost
from runs.models import LogChunk, State
from runs.waiting import Line, Waiting

log = structlog.get_logger(__name__)
FLUSH_SECONDS = 0.1
BEAT_SECONDS = 3.0
# So long after a heartbeat began, nobody can have taken the run over (runs/life/reconcile.py: HEARTBEAT_LOST).
SURE_SECONDS = 15.0
LONGEST_LINE = 4000
KEPT_HEAD = 5_000
KEPT_TAIL = 20_000


class Journal:
    """The log of one attempt. Use as a context manager; `line()` never waits for the database.

    `lost`: the fence was lost, the worker must stop. `cancelling`: a cancel was requested. A lost fence is noticed at the next
    write of lines or heartbeat, a cancel at the next heartbeat (BEAT_SECONDS).
    """

    def __init__(self, fence: Fence, redactor: Redactor) -> None:
        self.fence, self.redactor, self.bell = fence, redactor, Bell(fence.run_id)
        self.step = ""
        self.lost = self.cancelling = False
        self._held_at = float("-inf")
        self._waiting = Waiting()
        self._writing, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="journal", daemon=True)
        self._find_end()

    def _find_end(self) -> None:
        """Finds the numbers of the next chunk and line, after those of this and earlier attempts."""
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

    def line(self, text: str, *, level: str = "info", step: str = "") -> None:
        """Adds a line (several, if `text` has line ends) to the log of `step`, without one to that of the current step; threads
        that work on several steps at once name theirs. Redacts it, after NUL is out:
        a program that prints UTF-16 puts one between the letters of a value."""
        now = time.time()
        self._waiting.add(
            Line(now, level, step or self.step, part[:LONGEST_LINE])
            for part in self.redactor.redact(storable_text(text)).splitlines() or [""]
        )

    def changed(self) -> None:
        """Tells viewers that something other than the log changed (a step, an object). Call it after the commit."""
        self.bell.ring(CHANGED)

    @contextmanager
    def held(self, **changes: object) -> Iterator[None]:
        """The fence (runs/fence.py). Notes when it held, by the time before its transaction, for `is_sure`."""
        began = time.monotonic()
        with self.fence.held(**changes):
            yield
        self._held_at = began

    def is_sure(self) -> bool:
        """Whether the fence held so lately that nobody can have taken the run over since. A process that was stopped meanwhile
        is not sure: its clock went on."""
        return not self.lost and time.monotonic() - self._held_at < SURE_SECONDS

    def flush(self) -> None:
        """Writes the collected lines. Raises nothing: a lost fence sets `lost`; after a database error the lines stay for the
        next flush, up to the bound of `Waiting`."""
        with self._writing:
            while (lines := self._waiting.take()) and not self.lost:
                if not self._written(lines):
                    self._waiting.put_back(lines)
                    return

    def _written(self, lines: list[Line]) -> bool:
        """Writes lines. False after a database error."""
        try:
            self._write(lines)
        except FenceLost:
            self.lost = True
        except DatabaseError:
            log.exception("log lines are kept back until the database answers")
            self._end_is_known = False  # the chunk may or may not have been written before the error
            close_old_connections()
            return False
        return True

    def _write(self, lines: list[Line]) -> None:
        if not self._end_is_known:
            self._find_end()
        with self.held(log_lines=F("log_lines") + len(lines)):
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
        """Deletes chunks from the middle of a very long log. Its head and tail stay; the line numbers show the gap."""
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
        """Writes a heartbeat and reads whether a cancel was requested."""
        try:
            with self.held():
                state = self.fence.model._default_manager.values_list("state", flat=True).get(
                    run_id=self.fence.run_id
                )
            self.cancelling = state == State.CANCELLING
        except FenceLost:
            self.lost = True
        except DatabaseError:
            log.exception("no heartbeat: the database does not answer")
            close_old_connections()
