"""Workers, the reconciler and schedulers run on several hosts, whose clocks differ: only the database's clock counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db.models.functions import Now

from core.scheduler import release_lease, take_lease
from deployments.gate.life import LIFE
from deployments.models import Deploy
from runs.fence import Fence
from runs.life import reconcile
from runs.life.claim import claim
from runs.models import State
from tests.factories import make_deploy, make_environment

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@contextmanager
def host_whose_clock_is(off: timedelta) -> Iterator[None]:
    """Inside, this process runs on another host: its clock is `off`, the database's is not."""
    with time_machine.travel(datetime.now(UTC) + off):
        yield


@pytest.mark.parametrize("off", [-MINUTE, MINUTE], ids=["behind", "ahead"])
def test_a_worker_on_a_host_with_another_clock_keeps_its_run(fence: Fence, off: timedelta) -> None:
    with host_whose_clock_is(off), fence.held(worker="host:1"):
        pass
    reconcile.repair(LIFE)
    assert Deploy.objects.get().attempt == 1


@pytest.mark.parametrize("off", [-MINUTE, MINUTE], ids=["behind", "ahead"])
def test_a_reconciler_on_a_host_with_another_clock_takes_nothing_from_a_live_worker(
    fence: Fence, off: timedelta
) -> None:
    with fence.held(worker="host:1"):
        pass
    with host_whose_clock_is(off):
        reconcile.repair(LIFE)
    assert Deploy.objects.get().attempt == 1


@pytest.mark.parametrize("off", [-MINUTE, MINUTE], ids=["behind", "ahead"])
def test_a_run_claimed_on_a_host_with_another_clock_is_claimed(off: timedelta) -> None:
    queued = make_deploy(make_environment(), State.QUEUED)
    with host_whose_clock_is(off):
        assert claim(LIFE, queued.run_id, 1) is not None
    reconcile.repair(LIFE)
    assert Deploy.objects.get().attempt == 1


@pytest.mark.parametrize("off", [-MINUTE, MINUTE], ids=["behind", "ahead"])
def test_a_silence_is_as_long_as_the_database_says(fence: Fence, off: timedelta) -> None:
    Deploy.objects.update(worker="host:1", heartbeat_at=Now() - reconcile.HEARTBEAT_LOST)
    with host_whose_clock_is(off):
        reconcile.repair(LIFE)
    assert Deploy.objects.get().attempt == 2


@pytest.mark.parametrize("off", [-MINUTE, MINUTE], ids=["behind", "ahead"])
def test_a_lease_is_held_against_a_host_with_another_clock(off: timedelta) -> None:
    assert take_lease("x", "a")
    with host_whose_clock_is(off):
        assert not take_lease("x", "b")


@pytest.mark.parametrize("off", [-MINUTE, MINUTE], ids=["behind", "ahead"])
def test_a_lease_taken_by_a_host_with_another_clock_holds_and_is_free_when_given_back(off: timedelta) -> None:
    with host_whose_clock_is(off):
        assert take_lease("x", "b")
    assert not take_lease("x", "a")
    with host_whose_clock_is(off):
        release_lease("x", "b")
    assert take_lease("x", "a")
