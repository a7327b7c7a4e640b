"""The processes of the site: they end with their parent, and believe no header that says where a request came from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.run import Kept
from tests.everything import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


def until(condition: Callable[[], bool]) -> None:
    """Waits for it. Raises AssertionError after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_what_the_supervisor_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    program = f"import sys, time; from ops.run import Kept; Kept('x', [sys.executable, '-c', {child!r}]).start(); time.sleep(600)"
    supervisor = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        until(lambda: note.exists() and note.read_text() != "")
        pid = int(note.read_text())
        assert is_running(pid)
    finally:
        supervisor.kill()
        supervisor.wait(10)
    until(lambda: not is_running(pid))


def test_a_process_that_ends_by_itself_is_started_again() -> None:
    kept = Kept("x", [sys.executable, "-c", ""])
    kept.start()
    assert kept.process is not None
    assert kept.process.wait(30) == 0


@pytest.mark.slow
def test_web_workers_end_when_their_parent_is_killed() -> None:
    """uvicorn's own supervisor, killed: nobody would tell its workers, which would keep the port."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "portal.asgi:application",
        "--port",
        str(port),
        "--workers",
        "2",
    ]
    options = ["--no-proxy-headers", "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    parent = subprocess.Popen([*command, *options], cwd=ROOT, env={**os.environ, "PORT": str(port)})
    try:
        wait_for(port)
        until(lambda: len(children_of(parent.pid)) >= 3)  # two workers and multiprocessing's own
        children = children_of(parent.pid)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(10)
    until(lambda: not any(map(is_running, children)))


def test_no_place_starts_the_site_so_that_it_believes_forwarded_addresses() -> None:
    """uvicorn believes them of every program on the machine unless it is told not to."""
    starting = [
        path
        for path in ROOT.rglob("*")
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".sh"} or path.name == "Makefile"
        if not {".venv", "node_modules", ".git"} & set(path.relative_to(ROOT).parts)
        if path.is_file() and "portal.asgi:application" in path.read_text(errors="replace")
    ]
    assert {path.name for path in starting} >= {"run.py", "programs.py", "asgi.py", "live.py"}
    chaos = ROOT / "tests" / "chaos" / "test_portal.py"  # names the process, and starts none
    assert [p for p in starting if p != chaos and "--no-proxy-headers" not in p.read_text()] == []
