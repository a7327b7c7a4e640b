"""Further workers for the queue of deploys, beside those of the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.chaos.breaking import stop
from tests.e2e.running import ROOT, Running


@contextmanager
def more_workers(sandbox: Running, number: int, **env: str) -> Iterator[None]:
    """So many more during the block: a worker whose job is stopped waits for it. They carry the sandbox's mark, as its own
    do. `env`: variables that differ from the sandbox's."""
    variables = {"PATH": os.environ["PATH"], **sandbox.env, **_mark_of(sandbox), **env}
    command = [sys.executable, "manage.py", "rqworker", "deploys"]
    with open(sandbox.directory / "logs" / "more-workers.log", "ab") as log:
        options = {"cwd": ROOT, "env": variables, "stdout": log, "stderr": log}
        workers = [subprocess.Popen(command, **options) for _ in range(number)]
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(30)


@contextmanager
def no_worker_takes_a_job(sandbox: Running) -> Iterator[None]:
    """The sandbox's own workers stand still during the block."""
    with ExitStack() as others:
        for pid in sandbox.pids("manage.py", "rqworker", "deploys"):
            stop(sandbox.database_url, pid)
            others.callback(os.kill, pid, signal.SIGCONT)
        yield


def _mark_of(sandbox: Running) -> dict[str, str]:
    """The variable by which a sandbox knows its processes."""
    (pid, *_) = sandbox.pids("manage.py", "scheduler")
    with open(f"/proc/{pid}/environ") as file:
        pairs = (text.partition("=") for text in file.read().split("\0"))
        return {name: value for name, _, value in pairs if name == "SLIPWAY_SANDBOX"}
