"""Heartbeats: each worker and each scheduler leaves a row that says that it lives, by the database's clock.

A process writes once in BEAT_SECONDS. A clean end deletes the row. A row that is not renewed shows a process that was
killed or hangs; it is kept for a while, so that people see it, and then pruned.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from core.models import Heartbeat

log = structlog.get_logger(__name__)
BEAT_SECONDS = 10.0
SILENT_SECONDS = 30.0  # three beats that did not come
KEPT = timedelta(minutes=15)  # for which a silent process is shown
FORK_SECONDS = 2.0
WORKER, SCHEDULER = "worker", "scheduler"


@dataclass(frozen=True)
class Process:
    """A process that left a heartbeat `age` seconds ago. `doing`: its job, for `busy` seconds; empty while it waits."""

    kind: str
    host: str
    pid: int
    queues: tuple[str, ...]
    doing: str
    busy: float | None
    age: float
    beat_at: datetime

    @property
    def lives(self) -> bool:
        """Whether its last heartbeat is fresh."""
        return self.age <= SILENT_SECONDS


class Heart:
    """The heartbeat of this process. Failures of the database are logged, never raised."""

    def __init__(self, kind: str, queues: Sequence[str] = ()) -> None:
        self._host, self._pid = socket.gethostname()[:100], os.getpid()
        self._name = f"{kind} {self._host} {self._pid}"[:150]
        self._kind, self._queues = kind, ",".join(queues)[:200]
        self._work: tuple[str, float] = ("", 0.0)
        self._next = 0.0

    def works(self, what: str) -> None:
        """The process began `what`, a job or the work of a scheduler; empty: it waits. The next beat writes it."""
        if what[:200] != self._work[0]:
            self._work = (what[:200], time.monotonic())

    def beat(self) -> None:
        """Writes the row if the last beat is BEAT_SECONDS old."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + BEAT_SECONDS
        try:
            self._write(now)
        except DatabaseError as error:
            log.warning("no heartbeat: the database does not answer", error=type(error).__name__)
            close_old_connections()

    def _write(self, now: float) -> None:
        doing, began = self._work
        row = {
            "beat_at": Now(), "doing": doing, "since": Now() - timedelta(seconds=now - began) if doing else None,
        }  # fmt: skip
        if Heartbeat.objects.filter(name=self._name).update(**row) == 0:
            Heartbeat.objects.create(
                name=self._name, kind=self._kind, host=self._host, pid=self._pid, queues=self._queues, started_at=Now(), **row
            )  # fmt: skip

    def leave(self) -> None:
        """Deletes the row: the process ends as it was asked to."""
        try:
            Heartbeat.objects.filter(name=self._name).delete()
        except DatabaseError as error:
            log.warning("the heartbeat stays: the database does not answer", error=type(error).__name__)


class BeatingHeart:
    """A heart that beats in a thread: for a worker, whose main thread waits in Redis or for its job.

    The thread has a database connection only while it writes. `still()` waits for that, so that no fork inherits one.
    """

    def __init__(self, heart: Heart) -> None:
        self._heart = heart
        self._ended = threading.Event()
        self._writes = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begins to beat."""
        self._thread.start()

    def works(self, what: str) -> None:
        """As `Heart.works`."""
        self._heart.works(what)

    @contextmanager
    def still(self) -> Iterator[None]:
        """No beat is under way during the block. A database that hangs delays it by FORK_SECONDS at most."""
        got = self._writes.acquire(timeout=FORK_SECONDS)
        try:
            yield
        finally:
            if got:
                self._writes.release()

    def stop(self) -> None:
        """Ends the thread, and deletes the row."""
        self._ended.set()
        self._thread.join(FORK_SECONDS)
        self._heart.leave()

    def _run(self) -> None:
        while not self._ended.is_set():
            with self._writes:
                try:
                    self._heart.beat()
                finally:
                    connection.close()
            self._ended.wait(BEAT_SECONDS)


def processes() -> list[Process]:
    """All processes with a heartbeat, also silent ones that are not pruned yet."""
    age = ExpressionWrapper(Now() - F("beat_at"), output_field=DurationField())
    busy = ExpressionWrapper(Now() - F("since"), output_field=DurationField())
    return [_process(row) for row in Heartbeat.objects.annotate(age=age, busy=busy)]


def _process(row: Heartbeat) -> Process:
    age: timedelta = row.age  # type: ignore[attr-defined]
    busy: timedelta | None = row.busy  # type: ignore[attr-defined]
    return Process(
        kind=row.kind, host=row.host, pid=row.pid, queues=tuple(filter(None, row.queues.split(","))), doing=row.doing,
        busy=busy.total_seconds() if busy is not None else None, age=max(0.0, age.total_seconds()), beat_at=row.beat_at,
    )  # fmt: skip


def prune() -> None:
    """Tick: deletes the rows of processes that have been silent for KEPT."""
    Heartbeat.objects.filter(beat_at__lt=Now() - KEPT).delete()
