"""When a workload turned bad and when it was well again, by the reads of its cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from adapters.errors import Unavailable
from clusters.models import LiveState, Trouble
from clusters.services import refresh_environment
from projects.models import Environment
from tests.clusters.test_live_state import answer, environment, workload

__all__ = ["answer", "environment"]
pytestmark = pytest.mark.django_db
START = datetime(2026, 7, 1, 14, 2, tzinfo=UTC)
BAD = "container web crashed twice at start (exit code 1)"


@pytest.fixture
def read(environment: Environment, answer: Any) -> Any:
    """`read(seconds, workloads)`: a read of the cluster, so many seconds after the start."""

    def at(seconds: float, *given: Any) -> None:
        answer(given[0] if given and isinstance(given[0], Exception) else given)
        with time_machine.travel(START + timedelta(seconds=seconds), tick=False):
            refresh_environment(environment)

    return at


def bad(name: str = "web", **more: Any) -> Any:
    return workload(name, health="failing", sentence=BAD, **more)


def test_a_trouble_has_its_times_and_what_was_said(read: Any) -> None:
    read(0, workload())
    assert not Trouble.objects.exists()
    read(30, bad())
    read(60, bad())
    row = Trouble.objects.get()
    assert (row.name, row.sentence) == ("web", BAD)
    assert (row.began_at - START, row.seen_at - START) == (timedelta(seconds=30), timedelta(seconds=60))
    assert (LiveState.objects.get().health, LiveState.objects.get().sentence) == ("failing", f"web: {BAD}")


def test_one_that_nobody_was_told_of_ends_with_the_first_good_read(read: Any) -> None:
    read(0, bad())
    read(30, workload())
    read(60, bad())
    assert [row.ended_at is None for row in Trouble.objects.all()] == [False, True]


def test_one_that_was_told_ends_when_the_recovery_has_lasted(read: Any) -> None:
    read(0, bad())
    Trouble.objects.update(told_at=START)
    read(30, workload())
    read(60, bad())  # it was no recovery
    row = Trouble.objects.get()
    assert (row.well_since, row.ended_at) == (None, None)
    read(90, workload())
    read(149, workload())
    assert Trouble.objects.get().ended_at is None
    read(150, workload())
    assert Trouble.objects.get().ended_at == START + timedelta(seconds=90)


def test_a_cluster_that_does_not_answer_changes_nothing(read: Any) -> None:
    read(0, bad())
    Trouble.objects.update(told_at=START)
    before = Trouble.objects.values().get()
    read(30, Unavailable("It does not answer.", system="Kubernetes"))
    assert Trouble.objects.values().get() == before


def test_only_workloads_of_the_environment_count(read: Any) -> None:
    read(0, bad("theirs", managed=False), workload("slow", health="degraded"))
    assert not Trouble.objects.exists()


def test_what_is_gone_fails_no_more(read: Any) -> None:
    read(0, bad())
    read(30)
    assert Trouble.objects.get().ended_at == START + timedelta(seconds=30)


def test_a_read_that_began_earlier_and_answers_later_changes_nothing(read: Any) -> None:
    read(30, workload())
    read(0, bad())
    assert not Trouble.objects.exists()
    assert LiveState.objects.get().health == "healthy"
