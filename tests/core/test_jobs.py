"""Handing work to RQ: after the commit, ids only, once, and never a reason to fail."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from rq.job import JobStatus

from core import jobs
from core.jobs import enqueue, push, queued
from core.listed import NotListed
from tests import redis_server
from tests.chaos.breaking import silent

ROOT = Path(__file__).resolve().parent.parent.parent
JOB = "notify.outbox.send_due"


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server.running() as url:
        yield url


@pytest.fixture
def queue(redis_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The queue `short`, empty, on a real Redis."""
    from rq import Queue

    from core.listed import ListedJob

    connection = redis.Redis.from_url(redis_url)
    connection.flushall()
    made = Queue("short", connection=connection, serializer="json", job_class=ListedJob)
    monkeypatch.setattr(jobs, "get_queue", lambda name: made)
    yield made
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_job_is_enqueued_after_the_commit(queue: Any) -> None:
    with transaction.atomic():
        enqueue(JOB, "id", 7, queue="short", job_id="x-1")
        assert queue.job_ids == []
    assert queue.job_ids == ["x-1"]
    assert queue.fetch_job("x-1").args == ["id", 7]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_enqueued(queue: Any) -> None:
    with transaction.atomic():
        enqueue(JOB, 1, queue="short", job_id="x-1")
        transaction.set_rollback(True)
    assert queue.job_ids == []


def test_a_job_of_the_same_id_is_enqueued_once(queue: Any) -> None:
    assert push(JOB, (1,), "short", "x-1")
    assert push(JOB, (1,), "short", "x-1")
    assert queue.job_ids == ["x-1"]


def test_a_reconciler_enqueues_again_what_rq_remembers(queue: Any) -> None:
    push(JOB, (1,), "short", "x-1")
    queue.empty()
    queue.fetch_job("x-1")
    assert push(JOB, (1,), "short", "x-1", unique=False)
    assert queue.job_ids == ["x-1"]


@pytest.mark.parametrize("state", [JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED])
def test_a_job_that_is_over_gives_way(queue: Any, state: JobStatus) -> None:
    """RQ keeps it for two weeks; its id must not block its reason for so long."""
    push(JOB, (1,), "short", "x-1")
    queue.fetch_job("x-1").set_status(state)
    queue.empty()
    queue.connection.hset(
        "rq:job:x-1", mapping={"status": state.value, "created_at": "2026-01-01T00:00:00.000000Z"}
    )
    assert push(JOB, (2,), "short", "x-1")
    assert queue.job_ids == ["x-1"]
    assert queue.fetch_job("x-1").args == [2]


def test_a_job_that_runs_keeps_its_id(queue: Any) -> None:
    push(JOB, (1,), "short", "x-1")
    queue.fetch_job("x-1").set_status(JobStatus.STARTED)
    queue.connection.delete(queue.key)
    assert push(JOB, (2,), "short", "x-1")
    assert queue.job_ids == []


def test_its_own_time_limit(queue: Any) -> None:
    push(JOB, (1,), "short", "x-1", seconds=1800)
    push(JOB, (1,), "short", "x-2")
    assert [queue.fetch_job(name).timeout for name in ("x-1", "x-2")] == [1800, 180]


@pytest.fixture
def stopped(settings: Any) -> Iterator[None]:
    """The portal's own queues on a Redis that is there and does not answer."""
    with redis_server.running() as url, contextlib.ExitStack() as stack:
        for config in settings.RQ_QUEUES.values():
            stack.enter_context(patch_url(config, url))
        with redis.Redis.from_url(url) as client:
            pid = client.info("server")["process_id"]
        with silent(pid):
            yield


@contextlib.contextmanager
def patch_url(config: dict[str, Any], url: str) -> Iterator[None]:
    before = config["URL"]
    config["URL"] = f"{url}?{before.partition('?')[2]}"
    try:
        yield
    finally:
        config["URL"] = before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stopped")
def test_a_redis_that_hangs_costs_one_short_wait(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred environments are due: the tick waits once, not a hundred times."""
    began = time.monotonic()
    for number in range(100):
        enqueue(JOB, number, queue="short", job_id=f"x-{number}")
    assert queued("deploys") is None
    assert time.monotonic() - began < 20  # a hundred waits take fifty seconds
    assert len([one for one in caplog.records if "not enqueued" in one.getMessage()]) == 1


@pytest.mark.parametrize("value", [object(), {"secret": 1}, ["a"], None, 1.5])
def test_jobs_take_ids_only(value: Any) -> None:
    with pytest.raises(TypeError):
        enqueue(JOB, value, queue="short", job_id="x-1")


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_request_goes_on_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """The tests' Redis does not exist: this is the portal's own queue."""
    with transaction.atomic():
        enqueue(JOB, 1, queue="short", job_id="x-1")
    assert "not enqueued" in caplog.text
    assert django_rq.get_queue("short").name == "short"


def job_names() -> set[str]:
    """Every dotted name that product code gives to RQ: literals of `enqueue(…)` and the constants that hold one."""
    found = set()
    for path in ROOT.glob("*/**/*.py"):
        if path.relative_to(ROOT).parts[0] not in ("tests", "sandbox", ".venv", "node_modules"):
            modules = "jobs|outbox|integrity|branches|mirrors|pieces|asking|deciding|missed"
            names = rf'"([a-z_]+(?:\.[a-z_]+)*\.(?:{modules})\.[a-z_]+)"'
            found |= set(re.findall(names, path.read_text()))
    return found


def test_the_list_holds_every_job_and_nothing_else() -> None:
    assert job_names() == set(settings.JOBS)
    for name in settings.JOBS:
        assert callable(import_string(name)), name


@pytest.mark.parametrize(
    "name", ["os.system", "subprocess.run", "core.jobs.push", "notify.outbox.send_due.x", ""]
)
def test_nothing_else_is_enqueued(name: str) -> None:
    with pytest.raises(NotListed):
        enqueue(name, 1, queue="short", job_id="x-1")
