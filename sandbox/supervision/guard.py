"""Ends processes that remain when a sandbox's supervisor is killed.

The kernel ends the supervisor's children with it, but not their children: a worker's forked job would live on. So each
child has a mark in its environment, which its descendants inherit, and a small guard process waits at the end of a pipe.
When the supervisor ends in any way, the pipe closes and the guard kills all processes with the mark. (Linux only:
elsewhere there is no /proc, and the guard does nothing. The guard cannot find Redis, which overwrites its environment with
its title; Redis has no children, and the kernel ends it.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sandbox.environment import MARK, mark

_PATIENCE = 5.0  # seconds to wait for killed processes to disappear


def marked(directory: Path, supervisor: int = 0) -> list[int]:
    """The ids of a sandbox's running processes, without this one. `supervisor`: only those of its run."""
    wanted = f"{MARK}={mark(directory, supervisor)}" if supervisor else f"{MARK}={directory}#"
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = (place / "environ").read_bytes().split(b"\0")
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # ended meanwhile, or another user's
        values = [variable for variable in variables if variable.startswith(wanted.encode())]
        if values and state != "Z" and int(place.name) != os.getpid():
            found.append(int(place.name))
    return found


def end_marked(directory: Path, supervisor: int = 0) -> list[int]:
    """Kills the processes that `marked` finds and waits until they are gone. Returns their ids."""
    deadline = time.monotonic() + _PATIENCE
    killed: list[int] = []
    while (left := marked(directory, supervisor)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed += [pid for pid in left if pid not in killed]
        time.sleep(0.02)
    return killed


def start_guard(directory: Path) -> subprocess.Popen[bytes]:
    """Starts the guard of this process. When this process ends, the guard kills remaining processes and ends."""
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.supervision.guard", str(directory), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,  # Ctrl-C in the terminal, or a kill of the group, must not end the guard first
    )


def main() -> None:
    """Waits for the end of standard input, then cleans up after the run that started it."""
    directory, supervisor = Path(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    (directory / "env").unlink(missing_ok=True)  # first, because the file says that the sandbox is ready
    end_marked(directory, supervisor)


if __name__ == "__main__":
    main()
