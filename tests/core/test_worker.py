"""The worker: a Redis that is away for a while ends no job, and a job is told when its worker is asked to end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as RedisGone
from rq import Queue
from rq import Worker as RqWorker

from core.heartbeats import WORKER, BeatingHeart, Heart
from core.redactor import MASK, current
from core.secret_values import register
from core.worker import LEAVE, LEAVE_SECONDS, Worker, is_leaving
from tests import redis_server

ROOT = Path(__file__).resolve().parent.parent.parent
CANARY = "canary-of-a-job-5e1b"


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
    deadline = time.monotonic() + 60
    while not is_leaving() and time.monotonic() < deadline:
        time.sleep(0.05)
    Path(file).write_text("told" if is_leaving() else "never told")


def until(said: str, file: Path) -> None:
    """Waits for a job to write that."""
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text() == said):
        assert time.monotonic() < deadline, f"the job did not say {said!r}"
        time.sleep(0.05)


def hears_nothing(file: str) -> None:
    """A job that takes long and never looks whether it is to leave."""
    Path(file).write_text("began")
    time.sleep(60)


@contextlib.contextmanager
def worker_at(job: str, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has begun that job of this module."""
    with redis_server.running() as url:
        connection = redis.Redis.from_url(url)
        Queue("short", connection=connection, serializer="json").enqueue(
            f"tests.core.test_worker.{job}", str(file)
        )
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "rqworker", "short"],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": url, "DJANGO_SETTINGS_MODULE": "tests.worker_settings"},
        )
        try:
            until("began", file)
            yield worker
        finally:
            worker.kill()
            worker.wait()
            connection.close()


@pytest.mark.slow
def test_a_job_is_told_that_its_worker_is_asked_to_end(tmp_path: Path) -> None:
    file = tmp_path / "said"
    with worker_at("goes_on_until_told", file) as worker:
        worker.send_signal(signal.SIGTERM)
        until("told", file)
        assert worker.wait(20) == 0


@pytest.mark.slow
def test_a_job_that_does_not_listen_keeps_its_worker_for_some_seconds_only(tmp_path: Path) -> None:
    with worker_at("hears_nothing", tmp_path / "said") as worker:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(LEAVE_SECONDS + 15) == 0


def test_a_job_that_was_taken_in_the_moment_of_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ sees the end only after the job, so nobody else would tell it."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("core.worker.os.kill", lambda pid, number: told.append((pid, number)))
    monkeypatch.setattr(
        "core.worker.threading.Timer", lambda *_: type("T", (), {"start": lambda self: None})()
    )
    monkeypatch.setattr(RqWorker, "fork_work_horse", lambda self, job, queue: setattr(self, "_horse_pid", 7))
    worker = Worker.__new__(Worker)
    worker._heart = BeatingHeart(Heart(WORKER))
    worker._stop_requested = True
    worker.fork_work_horse(None, None)
    assert told == [(7, LEAVE)]


def reads_a_secret_and_breaks() -> None:
    """A job that fails with a value in its error, and in the error that this one came of."""
    register([CANARY])
    try:
        int(CANARY)
    except ValueError as error:
        raise RuntimeError(f"it was {CANARY}") from error


def is_killed() -> None:
    """A job whose process is gone in the middle of it."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_what_is_kept_of_a_failed_job_holds_no_value() -> None:
    """RQ keeps it for days in Redis; the log tells what happened, without the value."""
    with redis_server.running() as url:
        connection = redis.Redis.from_url(url)
        queue = Queue("short", connection=connection, serializer="json")
        queue.enqueue("tests.core.test_worker.reads_a_secret_and_breaks", job_id="breaks-1")
        queue.enqueue("tests.core.test_worker.is_killed", job_id="killed-1")
        worker = subprocess.run(
            [sys.executable, "manage.py", "rqworker", "short", "--burst"],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": url, "DJANGO_SETTINGS_MODULE": "tests.worker_settings"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        broke, killed = queue.fetch_job("breaks-1"), queue.fetch_job("killed-1")
        said = broke.latest_result().exc_string
        kept = [connection.dump(key) for key in connection.scan_iter()]
        of_killed = killed.latest_result().exc_string
        connection.close()
    assert said == "RuntimeError; the log has the details under breaks-1."
    assert CANARY not in repr(kept)
    assert "terminated unexpectedly" in of_killed  # what RQ itself says is kept
    log = worker.stderr + worker.stdout
    assert f"it was {MASK}".encode("ascii", "backslashreplace").decode() in log or f"it was {MASK}" in log
    assert CANARY not in log


def test_a_job_has_a_redactor_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(RqWorker, "perform_job", lambda self, job, *args: seen.append(current()) or True)
    worker = Worker.__new__(Worker)
    for name in ("one", "two"):
        assert worker.perform_job(type("Job", (), {"id": name})())
    assert None not in seen
    assert seen[0] is not seen[1]
    assert current() is None


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
