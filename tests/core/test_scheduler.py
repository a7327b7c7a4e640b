"""The scheduler: one works at a time, and nothing that a tick does ends it."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from core import scheduler
from core.models import Lease
from core.scheduler import Tick, release_lease, run_due, take_lease
from portal.ticks import TICKS


@pytest.mark.django_db
class TestLease:
    def test_one_holds_it(self) -> None:
        assert take_lease("x", "a")
        assert not take_lease("x", "b")
        assert take_lease("x", "a")

    def test_it_lapses_when_its_holder_stops(self) -> None:
        take_lease("x", "a")
        Lease.objects.update(until=timezone.now() - timedelta(seconds=1))
        assert take_lease("x", "b")
        assert not take_lease("x", "a")

    def test_given_back_it_is_free_at_once_but_only_by_its_holder(self) -> None:
        take_lease("x", "a")
        release_lease("x", "b")
        assert not take_lease("x", "b")
        release_lease("x", "a")
        assert take_lease("x", "b")

    def test_leases_of_other_names_are_other_leases(self) -> None:
        assert take_lease("x", "a")
        assert take_lease("y", "b")


@pytest.mark.django_db(transaction=True)
def test_of_two_that_try_at_once_one_gets_it() -> None:
    barrier, got = threading.Barrier(2), []

    def attempt(holder: str) -> None:
        try:
            barrier.wait()
            got.append(take_lease("x", holder))
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(holder,)) for holder in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, True]


def test_a_tick_runs_at_its_times() -> None:
    ran: list[str] = []
    ticks = (Tick("often", 5, lambda: ran.append("often")), Tick("seldom", 30, lambda: ran.append("seldom")))
    next_at: dict[str, float] = {}
    for now in (100.0, 102.0, 105.0, 131.0):
        run_due(ticks, next_at, now)
    assert ran == ["often", "seldom", "often", "often", "seldom"]


def test_an_unforeseen_error_of_a_tick_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []
    ticks = (Tick("broken", 1, lambda: {}["no such key"]), Tick("whole", 1, lambda: ran.append("whole")))
    next_at: dict[str, float] = {}
    run_due(ticks, next_at, 100.0)
    run_due(ticks, next_at, 102.0)
    assert ran == ["whole", "whole"]
    assert len(caplog.records) == 2
    assert "no such key" in caplog.text


def test_what_is_asked_to_stop_begins_no_further_tick() -> None:
    ran: list[str] = []
    ticks = (Tick("long", 1, lambda: ran.append("long")), Tick("next", 1, lambda: ran.append("next")))
    run_due(ticks, {}, 100.0, lambda: bool(ran))
    assert ran == ["long"]


@pytest.mark.django_db
def test_the_loop_goes_on_without_its_lease_and_works_when_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Lease.objects.create(name=scheduler.LEASE, holder="another", until=timezone.now() + timedelta(seconds=60))
    ran: list[int] = []
    turns = itertools.count()

    def stopped() -> bool:
        if next(turns) == 2:
            Lease.objects.update(until=timezone.now() - timedelta(seconds=1))
        return bool(ran)

    scheduler.loop([Tick("t", 0, lambda: ran.append(1))], stopped=stopped, step=0)
    assert ran == [1]
    assert Lease.objects.get().until <= timezone.now()  # given back at the end


def test_every_tick_has_a_name_of_its_own() -> None:
    assert len({tick.name for tick in TICKS}) == len(TICKS)
