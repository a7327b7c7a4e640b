"""Runs a command-line program that may hang, print without end, or start children.

The program gets its own process group. The whole group is killed at the limit of time or output, or when the caller is
interrupted (a job's time limit, a cancel). The output is held in memory, hence the limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

_CHUNK = 65536
LOOK_SECONDS = 1.0
_END_SECONDS = 30.0


class ProgramTimedOut(Exception):
    """The program did not end in time and was killed with everything it had started."""


class ProgramStopped(Exception):
    """The caller stopped the program, which was killed with everything it had started."""


class OutputTooLarge(Exception):
    """The program exceeded the output limit and was killed with everything it had started."""


@dataclass(frozen=True)
class Finished:
    """Exit code and output of an ended program."""

    code: int
    stdout: bytes
    stderr: bytes


class _Pipe(threading.Thread):
    """Reads one pipe to its end, so that the program never blocks on writing. At the limit it stops and reports it. With
    `drain` it goes on reading and drops the rest: without a reader the program would be killed by SIGPIPE."""

    def __init__(self, stream: IO[bytes], limit: int, *, drain: bool = False) -> None:
        super().__init__(daemon=True)
        self._stream, self._limit, self._drain, self._size = stream, limit, drain, 0
        self.chunks: list[bytes] = []
        self.overflowed = threading.Event()
        self.start()

    def run(self) -> None:
        with self._stream:
            while chunk := os.read(self._stream.fileno(), _CHUNK):
                self._size += len(chunk)
                if self._size > self._limit:
                    self.overflowed.set()
                    if not self._drain:
                        return
                    continue
                self.chunks.append(chunk)

    def text(self) -> bytes:
        """The bytes read. Waits briefly for the end of the pipe, which a killed group closes at once."""
        self.join(timeout=2)
        return b"".join(self.chunks)


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes = b"",
    max_output: int,
    keep_open: Sequence[int] = (),
    may_go_on: Callable[[], bool] | None = None,
) -> Finished:
    """Runs `command` to its end and returns its exit code and output.

    `env` is the whole environment. `timeout` in seconds; `max_output` in bytes of stdout (the limit of stderr is 64 kB).
    `may_go_on` is asked every LOOK_SECONDS; when it says no, the program is killed and ProgramStopped raised.
    The program inherits the file descriptors `keep_open`. Raises ProgramTimedOut, OutputTooLarge, and OSError when it
    cannot start.
    """
    with tempfile.TemporaryFile() as source:
        # From a file, not a pipe: writing to a program that does not read would block us beyond the time
        # limit.
        source.write(stdin)
        source.seek(0)
        process = subprocess.Popen(
            command,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )
    assert process.stdout is not None  # noqa: S101 - asked for above; tells the type checker
    assert process.stderr is not None  # noqa: S101
    out, err = _Pipe(process.stdout, max_output), _Pipe(process.stderr, _CHUNK, drain=True)
    try:
        code = _wait(process, out, timeout, command[0], may_go_on)
    finally:
        _kill_group(process)
    return Finished(code, out.text(), err.text())


def _wait(
    process: subprocess.Popen[bytes],
    out: _Pipe,
    timeout: float,
    name: str,
    may_go_on: Callable[[], bool] | None,
) -> int:
    """Waits for the end of the output, which needs no polling, then for the end of the program."""
    deadline = time.monotonic() + timeout
    if may_go_on is not None:
        _look(out, deadline, may_go_on, name)
    out.join(max(0.0, deadline - time.monotonic()))
    if out.overflowed.is_set():
        raise OutputTooLarge(f"{name} printed too much")
    try:
        return process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ProgramTimedOut(f"{name} took longer than {timeout:g} s") from None


def _look(out: _Pipe, deadline: float, may_go_on: Callable[[], bool], name: str) -> None:
    """Asks `may_go_on` again and again until the end of the output. Raises ProgramStopped."""
    while out.is_alive() and (left := deadline - time.monotonic()) > 0:
        out.join(min(LOOK_SECONDS, left))
        if out.is_alive() and not may_go_on():
            raise ProgramStopped(f"{name} was stopped")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills the program and its children, unless the program was already waited for: then its id may be reused."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Running:
    """A program whose output is read while it runs. `code` and `said` (stderr) are known after its end; `code` is None when it
    was stopped before."""

    output: IO[bytes]
    code: int | None = None
    said: bytes = b""


@contextlib.contextmanager
def streamed(command: Sequence[str], *, env: Mapping[str, str]) -> Iterator[Running]:
    """Runs `command` during the block, which reads its output. What runs at the block's end, or when the block fails, is
    killed with everything it had started. Raises OSError when it cannot start."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env),
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - asked for above; tells the type checker
    assert process.stderr is not None  # noqa: S101
    err = _Pipe(process.stderr, _CHUNK, drain=True)
    running = Running(process.stdout)
    try:
        yield running
        if not process.stdout.read(1):  # at the output's end it ends by itself
            running.code = process.wait(timeout=_END_SECONDS)
    finally:
        process.stdout.close()
        _kill_group(process)
        running.said = err.text()
