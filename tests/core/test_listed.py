"""Write access to Redis runs no code: a real worker with jobs that somebody else wrote into its queue."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Callback, Queue
from rq.job import Job

from core.listed import ListedJob, NotListed
from tests import redis_server

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "canary-ran"


class Runs:
    """Runs a command where its pickle is read."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.fixture
def connection() -> Iterator[Any]:
    with redis_server.running() as url:
        made = redis.Redis.from_url(url)
        made.url = url  # type: ignore[attr-defined]
        yield made
        made.close()


def work(connection: Any) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "rqworker", "short", "--burst"],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": connection.url, "DJANGO_SETTINGS_MODULE": "portal.settings"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr + done.stdout


@pytest.mark.slow
def test_a_worker_runs_nothing_that_is_not_on_the_list(connection: Any, tmp_path: Path) -> None:
    """The worker goes through all of them and then through a job of the portal's own."""
    ran = [tmp_path / name for name in ("json", "pickle", "raw", "success", "failure", "method")]
    by_json = Queue("short", connection=connection, serializer="json")
    by_json.enqueue("os.system", f"touch {ran[0]}", job_id="json")
    Queue("short", connection=connection).enqueue("os.system", f"touch {ran[1]}", job_id="pickle")
    raw = by_json.enqueue("notify.outbox.send_due", job_id="raw")
    connection.hset(raw.key, "data", zlib.compress(pickle.dumps(Runs(f"touch {ran[2]}"))))
    for name, place in (("success_callback_name", ran[3]), ("failure_callback_name", ran[4])):
        job = by_json.enqueue("tests.core.test_listed.marks", job_id=name, on_success=Callback("os.system"))
        connection.hset(job.key, name, "os.system")
        assert not place.exists()
    own = by_json.enqueue("audit.integrity.verify_job", job_id="own", result_ttl=500)
    log = work(connection)
    assert not any(path.exists() for path in ran)
    states = {
        name: Job.fetch(name, connection, serializer="json").get_status()
        for name in ("json", "pickle", "raw")
    }
    assert set(states.values()) == {"failed"}, states
    assert "none of the portal's jobs" in log
    assert own.get_status() in ("finished", "failed")  # it was run; its database is not made here


def kept(**fields: Any) -> ListedJob:
    """A job as the worker reads it from Redis."""
    job = ListedJob.create("notify.outbox.send_due", connection=redis.Redis(), serializer="json", args=("1",))
    raw = {"created_at": "2026-01-01T00:00:00.000000Z", "status": "queued", "data": job.data}
    encoded = {
        key.encode(): value if isinstance(value, bytes) else value.encode() for key, value in raw.items()
    }
    read = ListedJob(job.id, connection=redis.Redis(), serializer="json")
    read.restore(encoded | {key.encode(): value for key, value in fields.items()})
    return read


def test_a_job_of_the_list_is_found() -> None:
    assert kept().func.__name__ == "send_due"


def test_callbacks_and_web_calls_of_a_job_are_dropped() -> None:
    hooks = b'[{"url": "http://127.0.0.1:1/", "on": ["success"]}]'
    names = ("success_callback_name", "failure_callback_name", "stopped_callback_name")
    job = kept(**dict.fromkeys(names, b"os.system"), webhooks=hooks)
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    assert job.webhooks == []


FOREIGN = [
    b'["os.system", null, ["id"], {}]',
    b'["title", "text", [], {}]',
    b'[["os.system"], null, [], {}]',
]


@pytest.mark.parametrize("data", FOREIGN)
def test_a_job_of_another_function_has_none(data: bytes) -> None:
    with pytest.raises(NotListed):
        _ = kept(data=zlib.compress(data)).func
