"""Leases with a fence: one writer for each cluster, and one for each token. The database's clock counts.

A lease that its holder does not renew ends; the next holder gets a higher fence. Every write of a holder first renews the lease
under the condition of its own fence, so a worker that was replaced while it slept writes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from engine.errors import SlipwayError
from registry.models import WriterLease

SECONDS = 90  # longer than any single call to an outside system takes
POLL_SECONDS = 0.2


class LeaseLost(SlipwayError):
    """Another worker holds the lease now. What this one was about to write, it must not write."""


@dataclass(frozen=True)
class Held:
    """A lease that this process took. `fence`: its number."""

    name: str
    holder: str
    fence: int


def take(name: str, seconds: float = SECONDS) -> Held | None:
    """Takes a free lease for `seconds`; None while another one holds it."""
    holder = uuid.uuid4().hex
    with transaction.atomic():
        WriterLease.objects.get_or_create(name=name, defaults={"until": Now()})
        free = WriterLease.objects.filter(name=name).filter(Q(holder="") | Q(until__lte=Now()))
        if not free.update(holder=holder, until=Now() + timedelta(seconds=seconds), fence=F("fence") + 1):
            return None
        return Held(name, holder, WriterLease.objects.values_list("fence", flat=True).get(name=name))


def renew(held: Held, seconds: float = SECONDS) -> None:
    """Holds it for `seconds` from now on. Raises LeaseLost when another one has taken it meanwhile."""
    mine = WriterLease.objects.filter(name=held.name, holder=held.holder, fence=held.fence)
    if not mine.update(until=Now() + timedelta(seconds=seconds)):
        raise LeaseLost(f"Another worker has taken over ({held.name}); this one writes nothing more.")


@contextmanager
def fenced(held: Held) -> Iterator[None]:
    """A transaction that only the holder commits. Raises LeaseLost before the block."""
    with transaction.atomic():
        renew(held)
        yield


def release(held: Held) -> None:
    """Gives it back, so that the next one need not wait."""
    WriterLease.objects.filter(name=held.name, holder=held.holder).update(holder="", until=Now())


@contextmanager
def leased(
    name: str, *, wait: float = 0.0, pause: Callable[[float], object] = time.sleep
) -> Iterator[Held | None]:
    """Holds a lease during the block. Waits for it up to `wait` seconds; yields None when it stays with another one."""
    ends = time.monotonic() + wait
    held = take(name)
    while held is None and time.monotonic() < ends:
        pause(POLL_SECONDS)
        held = take(name)
    try:
        yield held
    finally:
        if held is not None:
            release(held)
