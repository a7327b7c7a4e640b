"""The scheduler's two loops: one that waits keeps back no other, and the end of one ends the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connections

from core.models import Lease
from core.scheduler import Tick
from portal.management.commands import scheduler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def start(stop: threading.Event) -> threading.Thread:
    def run() -> None:
        try:
            scheduler.work(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_tick_that_hangs_keeps_back_no_take_over(
    monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    hangs, reconciled, rounds = threading.Event(), threading.Event(), []

    def reconcile() -> None:
        rounds.append(1)
        if len(rounds) == 3 and hangs.is_set():
            reconciled.set()

    def hang() -> None:
        hangs.set()
        stop.wait(120)

    monkeypatch.setattr(scheduler, "TICKS", (Tick("hangs", 1, hang),))
    monkeypatch.setattr(scheduler, "RECONCILING", (Tick("reconcile", 0, reconcile),))
    thread = start(stop)
    assert reconciled.wait(60)
    assert set(Lease.objects.values_list("name", flat=True)) == {"scheduler", "reconciler"}
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_the_end_of_the_reconciler_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    """It is started again then; a scheduler that only ticks would take over nothing."""

    def loop(ticks: object, **given: object) -> None:
        if given.get("lease") == scheduler.RECONCILER:
            return
        stop.wait(120)

    monkeypatch.setattr(scheduler, "loop", loop)
    thread = start(stop)
    thread.join(60)
    assert not thread.is_alive()
