"""The scheduler: a loop that runs small tasks (ticks) at fixed intervals, in one process at a time.

RQ's own cron has no lock and ends when Redis does, so this scheduler holds a lease in the database. A tick is short: it
looks for due rows and enqueues jobs, or reconciles in this process. A tick that fails is logged and tried again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction
from django.db.models import DurationField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from core.heartbeats import SCHEDULER, Heart
from core.models import Lease
from core.redactor import redacting

log = structlog.get_logger(__name__)
LEASE = "scheduler"
LEASE_SECONDS = 15
WORKING = "holds the lease"


@dataclass(frozen=True)
class Tick:
    """A function `run` that the scheduler calls every `seconds`."""

    name: str
    seconds: float
    run: Callable[[], None]


def holder_name() -> str:
    """A name for this process as holder of the lease: host and process id."""
    return f"{socket.gethostname()}-{os.getpid()}"[:100]


def take_lease(name: str, holder: str, seconds: int = LEASE_SECONDS) -> bool:
    """Takes or renews the lease for `seconds`. Returns False while another process holds it.

    One conditional update decides, so two processes cannot both hold it. The database's clock counts: clocks of hosts
    differ.
    """
    with transaction.atomic():
        Lease.objects.get_or_create(name=name, defaults={"holder": "", "until": Now()})
        free = Lease.objects.filter(name=name).filter(Q(holder=holder) | Q(until__lte=Now()))
        return free.update(holder=holder, until=Now() + timedelta(seconds=seconds)) == 1


def release_lease(name: str, holder: str) -> None:
    """Gives the lease back, so that the next scheduler need not wait until it expires."""
    Lease.objects.filter(name=name, holder=holder).update(until=Now())


def run_due(
    ticks: Sequence[Tick], next_at: dict[str, float], now: float, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Run every due tick. An exception is logged and stops neither the others nor its next run.

    `next_at`: tick name → time of its next run on the clock of `now` (seconds); updated here. Ends early once
    `stopped()`.
    """
    for tick in ticks:
        if now < next_at.get(tick.name, 0.0):
            continue
        if stopped():
            return
        next_at[tick.name] = now + tick.seconds
        try:
            with redacting():
                tick.run()
        except Exception:  # the edge of the loop: one unforeseen error must not stop all ticks for good
            log.exception("tick failed", tick=tick.name)
            close_old_connections()


def loop(
    ticks: Sequence[Tick],
    *,
    lease: str = LEASE,
    stopped: Callable[[], bool],
    step: float = 0.5,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Runs ticks while this process holds `lease`, until `stopped()`. `pause(step)` waits `step` seconds between two
    rounds; it may return earlier when the process is to stop. Loops of different leases do not wait for each other; the one
    of LEASE leaves the process's heartbeats."""
    holder, heart = holder_name(), Heart(SCHEDULER) if lease == LEASE else None
    next_at: dict[str, float] = {}
    while not stopped():
        try:
            held = take_lease(lease, holder)
        except DatabaseError:
            log.exception("the database does not answer")
            close_old_connections()
            held = False
        if heart is not None:
            heart.works(WORKING if held else "")
            heart.beat()
        if held:
            run_due(ticks, next_at, time.monotonic(), stopped)
        pause(step)
    release_lease(lease, holder)
    if heart is not None:
        heart.leave()


def silent_for() -> float | None:
    """Seconds since a scheduler last renewed the lease, by the database's clock; None before the first one."""
    age = ExpressionWrapper(Now() - F("until"), output_field=DurationField())
    lapsed = Lease.objects.filter(name=LEASE).annotate(age=age).values_list("age", flat=True).first()
    return None if lapsed is None else max(0.0, lapsed.total_seconds() + LEASE_SECONDS)
