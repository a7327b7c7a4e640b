"""Child processes and ports of the sandbox. No child outlives its parent.

A child runs in its own session, so that Ctrl-C in the terminal reaches only the supervisor, which then ends its children
in order. It asks the Linux kernel to end it when its parent ends in any way.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SlipwayError

# The kernel ends a child when the *thread* that started it ends (prctl(2), PR_SET_PDEATHSIG), so one thread that lives as
# long as this process starts all children.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# Below the range of ports for outgoing connections on Linux (32768 and up), so that another connection seldom takes a
# remembered port.
_PORTS = range(20000, 32000)
_GOOD_ENDS = (0, -signal.SIGTERM)


class ProcessError(SlipwayError):
    """A child could not be started, or ended by itself. The message has its name and the end of its log."""


@dataclass(frozen=True)
class Child:
    """A running program of ours. `log` receives its standard output and error."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, count: int = 15) -> list[str]:
        """The last `count` lines of its log, for error messages."""
        return tail(self.log, count)


def spawn(
    args: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    name: str = "",
    death_signal: signal.Signals = signal.SIGKILL,
) -> Child:
    """Starts `args` with exactly the environment `env`; its output is appended to `log` (made with mode 600).

    `death_signal`: the signal that it gets when its parent ends unexpectedly (Linux only).
    `name` defaults to the program's file name. Raises ProcessError when the program cannot be started.
    """
    command = [str(a) for a in args]
    name = name or Path(command[0]).name
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = _starter.submit(
            _popen, command, fd, dict(env), cwd, _dies_with(os.getpid(), death_signal)
        ).result()
    except OSError as error:
        raise ProcessError(f"{name} could not be started: {error.strerror or error}") from error
    finally:
        os.close(fd)
    return Child(name=name, process=process, log=log)


def _popen(
    command: list[str], log: int, env: dict[str, str], cwd: Path | None, before: Callable[[], None] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=env,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=before,  # only a system call, made ready before the fork
    )


def _dies_with(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """The function that ties the child's life to `parent`'s, to be run between fork and exec."""
    if _libc is None:
        return None
    prctl, number = _libc.prctl, int(death_signal)

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # the parent ended before the call: the kernel will send no signal
            os._exit(1)

    return tie


@dataclass(frozen=True)
class End:
    """The end of a child that was asked to stop: its exit code (a negative one is a signal's number), the time that it
    took, and whether it had to be killed."""

    name: str
    code: int
    seconds: float
    killed: bool = False

    def __str__(self) -> str:
        if self.killed:
            return f"{self.name} did not end within {self.seconds:.0f} s and was killed"
        return f"{self.name} has ended" + (f" ({self.code})" if self.code not in _GOOD_ENDS else "")


def stop(children: Sequence[Child], seconds: float = 5.0) -> list[End]:
    """Ends the children one after the other, last first, within `seconds` altogether. Kills a child that does not end.

    A child whose turn comes late still gets half a second: it may only have waited for a child that was killed.
    """
    deadline = time.monotonic() + seconds
    ends: list[End] = []
    for child in reversed(children):
        ends += stop_together([child], max(0.5, deadline - time.monotonic()))
    return ends


def stop_together(
    children: Sequence[Child], seconds: float, tell: Callable[[End], None] = lambda end: None
) -> list[End]:
    """Asks all running children to end at once and kills those that still run after `seconds`. Calls `tell` for each
    end."""
    waiting = [child for child in children if child.alive()]
    for child in waiting:
        child.process.terminate()
    began = time.monotonic()
    ends: list[End] = []
    while waiting:
        late = time.monotonic() - began > seconds
        for child in waiting:
            if late:
                child.process.kill()
                child.process.wait()
            if not child.alive():
                ends.append(End(child.name, child.process.returncode, time.monotonic() - began, late))
                tell(ends[-1])
        waiting = [child for child in waiting if child.alive()]
        time.sleep(0.02 if waiting else 0)
    return ends


def check(children: Sequence[Child]) -> None:
    """Raises ProcessError, with name, exit code and the last lines of the log, when one of the children has ended."""
    for child in children:
        code = child.process.poll()
        if code is not None:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise ProcessError(f"{child.name} {how}. Its last lines:\n" + "\n".join(child.last_lines()))


def wait_until(
    ready: Callable[[], bool], children: Sequence[Child], *, seconds: float, what: str, pause: float = 0.05
) -> None:
    """Waits until `ready()` returns True. Raises ProcessError when a child ends meanwhile or `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not ready():
        check(children)
        if time.monotonic() > deadline:
            tails = "\n".join(f"{c.name}: {line}" for c in children for line in c.last_lines(3))
            raise ProcessError(f"{what} did not become ready within {seconds:.0f} s. Last lines:\n{tails}")
        time.sleep(pause)


def tail(path: Path, count: int) -> list[str]:
    """The last `count` lines of a text file (of its last 64 KiB), [] when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now. Closing connections of an earlier server do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port(avoid: Sequence[int] = ()) -> int:
    """A free port of 127.0.0.1 that is not in `avoid`. Raises ProcessError when there is none."""
    for _ in range(200):
        port = random.choice(_PORTS)
        if port not in avoid and port_is_free(port):
            return port
    raise ProcessError("no free port was found on 127.0.0.1")


def remembered_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """The port of each name: the previous run's, stored in `file`, if it is free; else another one.

    So addresses in kubeconfigs stay valid over restarts. Writes `file` (JSON) when a port changed.
    """
    before = _read_ports(file)
    ports: dict[str, int] = {}
    for name in names:
        port = before.get(name, 0)
        ports[name] = port if port and port_is_free(port) else free_port([*before.values(), *ports.values()])
    if {**before, **ports} != before:
        part = file.with_suffix(".part")
        part.write_text(json.dumps({**before, **ports}, indent=1) + "\n")
        part.replace(file)
    return ports


def _read_ports(file: Path) -> dict[str, int]:
    """The ports of an earlier run; empty for a file that a crash cut off."""
    try:
        noted = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(k): v for k, v in noted.items() if isinstance(v, int)} if isinstance(noted, dict) else {}
