"""The worker: a Redis that is away for a while ends no job, and a job is told when its worker is asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as RedisGone
from rq import Queue
from rq import Worker as RqWorker

from core.worker import Worker, is_leaving
from tests import redis_server

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_job_goes_on_while_redis_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ would end the worker, and the job with it."""

    def gone(self: Any, job: Any, execution: Any) -> None:
        raise RedisGone("Connection refused")

    monkeypatch.setattr(RqWorker, "maintain_heartbeats", gone)
    worker = Worker.__new__(Worker)
    worker.maintain_heartbeats(type("Job", (), {"id": "x-1"})(), None)


def goes_on_until_told(file: str) -> None:
    """A job that takes long; says in `file` that it began, and that it was told to end."""
    Path(file).write_text("began")
    deadline = time.monotonic() + 30
    while not is_leaving() and time.monotonic() < deadline:
        time.sleep(0.05)
    Path(file).write_text("told" if is_leaving() else "never told")


def until(said: str, file: Path) -> None:
    """Waits for a job to write that."""
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text() == said):
        assert time.monotonic() < deadline, f"the job did not say {said!r}"
        time.sleep(0.05)


def test_a_job_is_told_that_its_worker_is_asked_to_end(tmp_path: Path) -> None:
    file = tmp_path / "said"
    with redis_server.running() as url:
        connection = redis.Redis.from_url(url)
        Queue("short", connection=connection).enqueue("tests.core.test_worker.goes_on_until_told", str(file))
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "rqworker", "short"],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": url, "DJANGO_SETTINGS_MODULE": "portal.settings"},
        )
        try:
            until("began", file)
            worker.send_signal(signal.SIGTERM)
            until("told", file)
            assert worker.wait(20) == 0
        finally:
            worker.kill()
            worker.wait()
            connection.close()
