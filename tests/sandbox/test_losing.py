"""`python -m sandbox kill`: only that program, only of that sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.environment import MARK, mark
from sandbox.supervision import losing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")
WAITS = "print('here', flush=True); import time; time.sleep(60)"


def program(directory: Path, *words: str) -> subprocess.Popen[str]:
    """A process of a sandbox in that folder, with these words on its command line."""
    env = {**os.environ, MARK: mark(directory, os.getpid())}
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, *words], env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


@pytest.fixture
def running(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Two workers, a scheduler, and a worker of another sandbox."""
    found = {
        "deploys": program(tmp_path, "manage.py", "rqworker", "deploys"),
        "short": program(tmp_path, "manage.py", "rqworker", "short"),
        "scheduler": program(tmp_path, "manage.py", "scheduler"),
        "foreign": program(tmp_path / "other", "manage.py", "rqworker", "deploys"),
    }
    yield found
    for process in found.values():
        process.kill()
        process.communicate()


def test_it_kills_what_is_named_and_nothing_else(
    running: dict[str, subprocess.Popen[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert losing.main(["deploys"], tmp_path) == 0
    assert running["deploys"].wait(60) == -signal.SIGKILL
    assert "Killed deploys: 1 process." in capsys.readouterr().out
    time.sleep(0.05)
    assert [running[name].poll() for name in ("short", "scheduler", "foreign")] == [None, None, None]


def test_what_does_not_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert losing.main(["scheduler"], tmp_path) == 1
    assert "No program scheduler" in capsys.readouterr().out
