"""The scheduler: a loop that does small things at their times, in one process at a time.

RQ's own cron has no lock and ends when Redis does (style.md §5.3), so this one holds a lease in the database. Ticks are
tiny: they look for due rows and enqueue, or reconcile in-process. A tick that fails is logged and tried again.
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
from django.db.models import Q
from django.db.models.functions import Now

from core.models import Lease
from core.redactor import redacting

log = structlog.get_logger(__name__)
LEASE = "scheduler"
LEASE_SECONDS = 15


@dataclass(frozen=True)
class Tick:
    """Something to do every `seconds`; `run` takes nothing and returns nothing."""

    name: str
    seconds: float
    run: Callable[[], None]


def holder_name() -> str:
    """Names this process among all that might hold the lease."""
    return f"{socket.gethostname()}-{os.getpid()}"[:100]


def take_lease(name: str, holder: str, seconds: int = LEASE_SECONDS) -> bool:
    """Takes or renews the lease; False while another process holds it. One conditional update, so two cannot both win.

    Times are those of the database's clock: clocks of hosts differ.
    """
    with transaction.atomic():
        Lease.objects.get_or_create(name=name, defaults={"holder": "", "until": Now()})
        free = Lease.objects.filter(name=name).filter(Q(holder=holder) | Q(until__lte=Now()))
        return free.update(holder=holder, until=Now() + timedelta(seconds=seconds)) == 1


def release_lease(name: str, holder: str) -> None:
    """Gives the lease back, so that a successor need not wait for it to lapse."""
    Lease.objects.filter(name=name, holder=holder).update(until=Now())


def run_due(
    ticks: Sequence[Tick], next_at: dict[str, float], now: float, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Runs what is due and notes when it is due again, until `stopped()`. A failing tick is logged; it keeps neither the
    others nor its own next turn from running."""
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
    stopped: Callable[[], bool],
    step: float = 0.5,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Runs ticks while it holds the lease, until `stopped()`. `pause` waits between two turns, or until it is to stop."""
    holder = holder_name()
    next_at: dict[str, float] = {}
    while not stopped():
        try:
            held = take_lease(LEASE, holder)
        except DatabaseError:
            log.exception("the database does not answer")
            close_old_connections()
            held = False
        if held:
            run_due(ticks, next_at, time.monotonic(), stopped)
        pause(step)
    release_lease(LEASE, holder)
