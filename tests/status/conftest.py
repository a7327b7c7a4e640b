"""A portal of which nothing answers, and one of which everything does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from core.models import Heartbeat
from core.scheduler import LEASE, take_lease
from portal.status import banners, watch
from portal.status.pulse import Bell, Queue
from tests import redis_server
from tests.factories import make_user

QUEUES = ("deploys", "live", "messages", "git", "short", "registry")
EMPTY = Bell("", 0.002, tuple(Queue(name, 0, None) for name in QUEUES))


@pytest.fixture
def real_redis(settings: Any) -> Iterator[str]:
    with redis_server.running() as url:
        settings.REDIS_URL = url
        yield url


@pytest.fixture
def redis_answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bell], None]:
    """What Redis says from now on."""

    def answers(bell: Bell) -> None:
        monkeypatch.setattr(watch.BELL, "read", lambda: bell)
        watch.BELL.forget()

    return answers


@pytest.fixture
def all_lives(db: None, redis_answers: Callable[[Bell], None]) -> None:
    """A scheduler and a worker for each queue."""
    take_lease(LEASE, "a")
    for pid, queue in enumerate(QUEUES, start=100):
        beat(pid, queue)
    redis_answers(EMPTY)


def beat(pid: int, queue: str, **fields: Any) -> Heartbeat:
    """The heartbeat of a worker on the host `inner-host`."""
    now = timezone.now()
    return Heartbeat.objects.create(
        **{
            "name": f"worker inner-host {pid}", "kind": "worker", "host": "inner-host", "pid": pid, "queues": queue,
            "started_at": now, "beat_at": now, **fields,
        }
    )  # fmt: skip


@pytest.fixture
def with_banners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages show banners, which most tests leave out."""
    monkeypatch.setattr("portal.shell.banners", banners.banners)


@pytest.fixture
def as_admin(client: Client, db: None) -> Client:
    client.force_login(make_user("ada", is_admin=True))
    return client


@pytest.fixture
def as_viewer(db: None) -> Client:
    client = Client()
    client.force_login(make_user("vera"))
    return client
