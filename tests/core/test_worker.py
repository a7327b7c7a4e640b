"""The worker: a Redis that is away for a while ends no job, and a job is told when its worker is asked to end."""

from __future__ import annotations

import contextlib
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


@pytest.mark.parametrize(("worker_pid", "parent", "works"), [(7, 7, True), (1, 1, True), (7, 1, False)])
def test_a_child_works_only_under_its_own_worker(
    monkeypatch: pytest.MonkeyPatch, worker_pid: int, parent: int, works: bool
) -> None:
    """Also where the worker is the first process of a container: then its id is 1, like that of whoever adopts orphans."""

    def end(code: int) -> None:
        raise SystemExit(code)

    worked: list[bool] = []
    monkeypatch.setattr(
        "core.worker.ctypes.CDLL", lambda name: type("C", (), {"prctl": lambda self, *a: 0})()
    )
    monkeypatch.setattr("core.worker.os._exit", end)
    monkeypatch.setattr("core.worker.os.getppid", lambda: parent)
    monkeypatch.setattr(RqWorker, "main_work_horse", lambda self: worked.append(True))
    worker = Worker.__new__(Worker)
    worker.pid = worker_pid
    with contextlib.suppress(SystemExit):
        worker.main_work_horse()
    assert bool(worked) == works
