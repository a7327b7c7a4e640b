"""Ends what a sandbox may leave behind when its supervisor is killed.

Children are tied to the supervisor by the kernel, but not their children: a worker's forked job would live on. So each
child carries a mark in its environment, which its descendants inherit, and a small guard process waits at the end of a
pipe: when the supervisor ends, in whatever way, the pipe closes and the guard kills everything with the mark. (Linux
only: elsewhere there is no /proc, and the guard does nothing.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox.environment import MARK

_PATIENCE = 5.0  # seconds within which what was killed is gone


def marked(directory: Path) -> list[int]:
    """The running processes that belong to the sandbox of this folder, this one excepted."""
    wanted = f"{MARK}={directory}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = (place / "environ").read_bytes().split(b"\0")
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # ended meanwhile, or another user's
        if wanted in variables and state != "Z" and int(place.name) != os.getpid():
            found.append(int(place.name))
    return found


def end_marked(directory: Path, *, but: int = 0) -> int:
    """Kills every process of the sandbox of this folder (except `but`) and waits until it is gone; how many."""
    count = 0
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        left = [pid for pid in marked(directory) if pid != but]
        if not left:
            break
        count = max(count, len(left))
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
    return count


def start_guard(directory: Path) -> subprocess.Popen[bytes]:
    """Starts the guard of this process. It ends, having killed what is left, as soon as this process ends."""
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.guard", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd=Path(__file__).resolve().parent.parent,
        start_new_session=True,  # Ctrl-C in the terminal, or a kill of the group, must not end the guard first
    )


def main() -> None:
    """Waits for the end of standard input, then cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_marked(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
