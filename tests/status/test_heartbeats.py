"""Heartbeats: one small write in ten seconds, gone after a clean end, shown as dead and then pruned after any other."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import heartbeats, scheduler
from core.heartbeats import BEAT_SECONDS, SCHEDULER, WORKER, BeatingHeart, Heart, processes
from core.models import Heartbeat, Lease

pytestmark = pytest.mark.django_db


def aged(seconds: float) -> None:
    """All rows are that old."""
    Heartbeat.objects.update(beat_at=Now() - timedelta(seconds=seconds))


def test_a_beat_says_who_lives_and_what_it_does() -> None:
    heart = Heart(WORKER, ["deploys", "short"])
    heart.works("deployments.jobs.run_deploy")
    heart.beat()
    (found,) = processes()
    assert (found.kind, found.queues, found.doing) == (
        WORKER,
        ("deploys", "short"),
        "deployments.jobs.run_deploy",
    )
    assert found.lives
    assert found.age < 5
    assert found.busy is not None
    assert found.busy < 5


def test_beats_are_written_once_in_their_time(django_assert_num_queries, monkeypatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(heartbeats.time, "monotonic", lambda: clock[0])
    heart = Heart(SCHEDULER)
    heart.beat()
    with django_assert_num_queries(0):
        for _ in range(5):
            heart.works("something")
            heart.beat()
    clock[0] += BEAT_SECONDS
    with django_assert_num_queries(1):
        heart.beat()


def test_the_same_work_keeps_its_begin(monkeypatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(heartbeats.time, "monotonic", lambda: clock[0])
    heart = Heart(SCHEDULER)
    for _ in range(4):
        heart.works("holds the lease")
        heart.beat()
        clock[0] += BEAT_SECONDS
    (found,) = processes()
    assert found.busy is not None
    assert 29 <= found.busy < 35


def test_a_clean_end_leaves_nothing() -> None:
    heart = Heart(WORKER, ["short"])
    heart.beat()
    heart.leave()
    assert processes() == []


def test_a_silent_process_is_shown_as_dead_and_pruned_later() -> None:
    Heart(WORKER, ["short"]).beat()
    aged(31)
    (found,) = processes()
    assert not found.lives
    heartbeats.prune()
    assert len(processes()) == 1
    aged(16 * 60)
    heartbeats.prune()
    assert processes() == []


def test_a_database_that_does_not_answer_ends_nothing(monkeypatch) -> None:
    def gone(self, now) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(Heart, "_write", gone)
    monkeypatch.setattr(heartbeats, "close_old_connections", lambda: None)
    Heart(WORKER).beat()
    assert processes() == []


def test_no_fork_while_a_beat_is_under_way_but_it_waits_only_for_a_while(monkeypatch) -> None:
    monkeypatch.setattr(heartbeats, "FORK_SECONDS", 0.2)
    under_way, go_on = threading.Event(), threading.Event()

    class Slow(Heart):
        def beat(self) -> None:
            under_way.set()
            go_on.wait(60)

    beating = BeatingHeart(Slow(WORKER))
    beating.start()
    assert under_way.wait(30)
    began = time.monotonic()
    with beating.still():
        assert 0.2 <= time.monotonic() - began < 40
    go_on.set()
    beating.stop()
    with beating.still():
        pass


def test_the_scheduler_beats_and_leaves(monkeypatch) -> None:
    seen: list[str] = []

    def tick() -> None:
        seen.extend(one.doing for one in processes() if one.kind == SCHEDULER)

    scheduler.loop([scheduler.Tick("t", 0, tick)], stopped=lambda: bool(seen), step=0)
    assert seen == [scheduler.WORKING]
    assert processes() == []


def test_how_long_no_scheduler_has_worked() -> None:
    assert scheduler.silent_for() is None
    scheduler.take_lease(scheduler.LEASE, "a")
    silent = scheduler.silent_for()
    assert silent is not None
    assert silent < 5
    Lease.objects.update(until=timezone.now() - timedelta(seconds=100))
    silent = scheduler.silent_for()
    assert silent is not None
    assert 114 < silent < 130


def test_pages_read_all_processes_with_one_query(django_assert_num_queries) -> None:
    for pid in range(20):
        Heartbeat.objects.create(
            name=f"w{pid}", kind=WORKER, host="h", pid=pid, started_at=timezone.now(), beat_at=timezone.now()
        )
    with django_assert_num_queries(1) as captured:
        assert len(processes()) == 20
    assert isinstance(captured, CaptureQueriesContext)
