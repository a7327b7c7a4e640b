"""A running deploy with its fence, a journal, and a real Redis where a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from core.redactor import Redactor
from deployments.models import Deploy
from runs.fence import Fence
from runs.journal import Journal
from runs.models import State
from tests import redis_server
from tests.factories import make_deploy, make_environment


@pytest.fixture(autouse=True)
def no_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of the feed end with the process; their connections must not outlive a test."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture
def deploy(db: None) -> Deploy:
    return make_deploy(make_environment(), State.RUNNING)


@pytest.fixture
def fence(deploy: Deploy) -> Fence:
    return Fence(Deploy, deploy.run_id, deploy.attempt)


@pytest.fixture
def journal(fence: Fence) -> Journal:
    """Its thread is not started: what is written is written by `flush`."""
    return Journal(fence, Redactor())


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server.running() as url:
        yield url


@pytest.fixture
def with_redis(redis_url: str, settings: Any) -> str:
    """The portal's Redis answers; its URL."""
    settings.REDIS_URL = redis_url
    settings.RQ_QUEUES = {name: {**queue, "URL": redis_url} for name, queue in settings.RQ_QUEUES.items()}
    return redis_url
