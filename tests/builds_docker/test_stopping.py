"""Builds that are stopped in the middle: by a cancel, the time limit, a killed worker or engine. Nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now

from adapters.docker.engine import Engine
from builds.life import LIFE
from builds.models import Build
from builds.services import cancel_build
from runs.life.reconcile import HEARTBEAT_LOST, reconcile
from runs.models import State, Step
from tests import redis_server
from tests.builds_docker.engine import Daemon, until
from tests.builds_docker.world import COPY, World, command, log_of, steps_of, work
from tests.runs.test_live_processes import ROOT, database_url
from tests.sandbox.ends import Aws

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PATIENCE = 60


@pytest.fixture(autouse=True)
def connections_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of a test end with their connection."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


def containers(engine: Engine) -> set[str]:
    """Running containers. What BuildKit runs is not among them: it is found by its processes."""
    return {one["Id"] for one in engine.wire.client.containers()}


def sleeps(mark: str) -> bool:
    """Whether a build's process with this mark in its command line still runs."""
    found = subprocess.run(["pgrep", "-f", f"busybox sleep {mark}"], capture_output=True, check=False)
    return found.returncode == 0


def slow(mark: str) -> str:
    return COPY + command(f"/bin/busybox echo began; /bin/busybox sleep {mark}")


def in_thread(function: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_a_cancel_ends_what_the_engine_does(
    world: World, engine: Engine, settings: Any, builder: str
) -> None:
    settings.DOCKER_BUILDER = builder
    mark = f"3{os.getpid()}{len(builder)}"
    build, before = world.ask(world.commit({"Dockerfile": slow(mark)})), containers(engine)
    worker = in_thread(lambda: work(build))
    until(lambda: sleeps(mark), "the build runs in the engine")
    cancel_build(world.actor, Build.objects.get(pk=build.pk))
    worker.join(PATIENCE)
    ended = Build.objects.get(pk=build.pk)
    assert (ended.state, ended.result) == (State.CANCELLED, "ada cancelled it. Nothing was pushed.")
    until(lambda: not sleeps(mark), "nothing is left running")
    until(lambda: containers(engine) <= before, "no container is left")
    assert ended.images.get().state == "cancelled"
    assert steps_of(ended) == {
        "checkout": "succeeded",
        "build api": "cancelled",
        "push api": "skipped",
        "tags": "skipped",
    }


def test_the_time_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.life.pipeline.LEAST_SECONDS", 1.0)
    world.settings(timeout=3)
    mark = f"4{os.getpid()}"
    build = world.build(world.commit({"Dockerfile": slow(mark)}))
    assert (build.state, build.result) == (State.TIMED_OUT, "It was not done within 3 s.")
    until(lambda: not sleeps(mark), "nothing is left running")


def test_an_engine_that_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builds.pipeline.stages.SILENCE_SECONDS", 2.0)
    monkeypatch.setattr("builds.pipeline.making.PAUSES", ())
    mark = f"5{os.getpid()}"
    build = world.build(world.commit({"Dockerfile": COPY + command(f"/bin/busybox sleep {mark}")}))
    assert build.state == State.ERRORED
    assert "said nothing for too long" in build.result
    until(lambda: not sleeps(mark), "nothing is left running")


def test_the_engine_is_killed_in_the_middle(
    world: World, own_daemon: Daemon, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builds.pipeline.making.PAUSES", (0.2,))
    settings.DOCKER_HOST = own_daemon.host
    mark = f"6{os.getpid()}"
    build = world.ask(world.commit({"Dockerfile": slow(mark)}))
    worker = in_thread(lambda: work(build))
    until(lambda: sleeps(mark), "the build runs in the engine")
    own_daemon.kill()
    worker.join(PATIENCE)
    ended = Build.objects.get(pk=build.pk)
    assert ended.state == State.ERRORED, (ended.result, log_of(ended))
    assert "Docker engine" in ended.result
    assert "Tried again in" in log_of(ended)
    own_daemon.start()
    again = world.build(world.commit({"Dockerfile": COPY}))
    assert again.state == State.SUCCEEDED, (again.result, log_of(again))


@pytest.fixture
def redis_url() -> Iterator[str]:
    with redis_server.running() as url:
        yield url


@pytest.fixture
def with_redis(redis_url: str, settings: Any) -> str:
    settings.REDIS_URL = redis_url
    settings.RQ_QUEUES = {name: {**queue, "URL": redis_url} for name, queue in settings.RQ_QUEUES.items()}
    return redis_url


@contextmanager
def worker(redis_url: str, aws: Aws, settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker of the queue `builds`, which forks for each job."""
    env = {
        **os.environ, "DATABASE_URL": database_url(), "REDIS_URL": redis_url, "DOCKER_HOST": settings.DOCKER_HOST,
        "GIT_PROTOCOLS": "file", "DATA_DIR": str(settings.GIT_MIRRORS.parent), "AWS_ENDPOINT_URL": aws.url,
        "AWS_DEFAULT_REGION": "eu-west-2",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "manage.py", "rqworker", "builds"], cwd=ROOT, env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


def horse_of(process: subprocess.Popen[bytes]) -> int:
    """The forked child that works on the job."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return int(file.read().split()[0])


def reaches(build: Build, step: str) -> None:
    until(
        lambda: Step.objects.filter(run_id=build.run_id, name=step, state="running").exists(), f"step {step}"
    )


def fell_silent(build: Build) -> None:
    """Its worker's heartbeat is old; the reconciler gives the build to the next attempt, and enqueues it."""
    Build.objects.filter(pk=build.pk).update(heartbeat_at=Now() - HEARTBEAT_LOST * 2)
    reconcile([LIFE])


@pytest.mark.parametrize("step", ["checkout", "build api", "push api"])
def test_a_worker_that_is_killed_in_a_step(
    world: World, aws: Aws, with_redis: str, settings: Any, step: str
) -> None:
    """Another worker ends the build. What the engine was doing for the killed one ends with its connection."""
    world.image("web", dockerfile="web.Dockerfile")
    world.settings(side_by_side=1)
    mark = "3"
    text = slow(mark) + "COPY noise /noise\n"
    (world.folder / "noise").write_bytes(os.urandom(30_000_000))  # so that its push takes a moment
    revision = world.commit({"Dockerfile": text, "web.Dockerfile": COPY})
    build = world.ask(revision)
    with worker(with_redis, aws, settings) as process:
        reaches(build, step)
        os.kill(horse_of(process), signal.SIGKILL)
        before = Build.objects.get(pk=build.pk)
        assert before.state == State.RUNNING
        fell_silent(build)
        until(lambda: not Build.objects.get(pk=build.pk).is_open, "another attempt ends it")
    ended = Build.objects.get(pk=build.pk)
    assert ended.state == State.SUCCEEDED, (ended.result, log_of(ended))
    assert ended.attempt == 2
    assert "Taken over by" in log_of(ended)
    assert {image.state for image in ended.images.all()} <= {"succeeded", "existed"}
    assert all(image.digest for image in ended.images.all())
    assert not sleeps(mark)


def test_a_worker_that_is_asked_to_end_hands_over(
    world: World, aws: Aws, with_redis: str, settings: Any
) -> None:
    mark = "4"
    build = world.ask(world.commit({"Dockerfile": slow(mark)}))
    with worker(with_redis, aws, settings) as process:
        until(lambda: sleeps(mark), "the build runs in the engine")
        process.terminate()
        process.wait(PATIENCE)
    handed = Build.objects.get(pk=build.pk)
    assert (handed.state, handed.attempt, handed.worker) == (State.RUNNING, 2, "")
    with worker(with_redis, aws, settings):
        until(lambda: not Build.objects.get(pk=build.pk).is_open, "another worker ends it")
    assert Build.objects.get(pk=build.pk).state == State.SUCCEEDED
