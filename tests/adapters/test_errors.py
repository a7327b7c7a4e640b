"""The family of errors, and running programs within limits."""

from __future__ import annotations

import os
import sys
import time

import pytest

from adapters.errors import (
    Conflict,
    Denied,
    ExternalError,
    Invalid,
    NotFound,
    Throttled,
    TimedOut,
    Unavailable,
)
from adapters.git import processes
from engine.errors import SlipwayError


@pytest.mark.parametrize("kind", [NotFound, Conflict, Denied, Invalid])
def test_asking_again_does_not_help(kind: type[ExternalError]) -> None:
    assert kind("m", system="Git").permanent is True


@pytest.mark.parametrize("kind", [Throttled, Unavailable, TimedOut])
def test_asking_again_may_help(kind: type[ExternalError]) -> None:
    error = kind("m", system="Git", hint="h", retry_after=3)
    assert (error.permanent, error.message, error.hint, error.system, error.retry_after) == (
        False,
        "m",
        "h",
        "Git",
        3,
    )
    assert kind("m", system="Git", permanent=True).permanent is True
    assert kind.permanent is False


def test_an_error_may_belong_to_a_second_family() -> None:
    class Other(SlipwayError):
        def __init__(self, message: str, *, status: int) -> None:
            super().__init__(message)
            self.status = status

    class Both(Denied, Other):
        def __init__(self, message: str) -> None:
            Other.__init__(self, message, status=403)
            Denied.__init__(self, message, system="Kubernetes", hint="h")

    error = Both("no")
    assert (error.status, error.system, error.hint, str(error)) == (403, "Kubernetes", "h", "no")


def run(code: str, **options) -> processes.Finished:
    settings = {"env": dict(os.environ), "timeout": 120.0, "max_output": 1_000_000, **options}
    return processes.run([sys.executable, "-c", code], **settings)


def test_output_code_and_input() -> None:
    code = "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d[::-1]); sys.stderr.write('e'); sys.exit(3)"
    payload = bytes(range(256)) * 2000
    done = run(code, stdin=payload)
    assert (done.code, done.stdout, done.stderr) == (3, payload[::-1], b"e")


def test_output_limit_stops_the_program() -> None:
    started = time.monotonic()
    with pytest.raises(processes.OutputTooLarge):
        run("import sys\nwhile True: sys.stdout.write('x' * 65536)", max_output=500_000)
    assert time.monotonic() - started < 60


def test_complaints_without_end_do_not_block() -> None:
    done = run("import sys; sys.stderr.write('x' * 1_000_000); print('done')")
    assert done.stdout == b"done\n"


@pytest.mark.parametrize("stdout", ["None", "subprocess.DEVNULL"])
def test_time_limit_kills_children_too(stdout: str) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], stdout={stdout})\n"
        "print(child.pid, file=sys.stderr, flush=True)\n"
        "time.sleep(60)\n"
    )
    read, write = os.pipe()
    code = f"import os; os.dup2({write}, 2)\n" + code
    with pytest.raises(processes.ProgramTimedOut):
        run(code, timeout=1.5, keep_open=[write])
    os.close(write)
    with os.fdopen(read) as told:
        child = int(told.read())
    deadline = time.monotonic() + 60
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    """Alive and no zombie that waits for whoever adopted it."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_program_that_is_not_there() -> None:
    with pytest.raises(OSError):
        processes.run(["/nonexistent/program"], env={}, timeout=1, max_output=10)
