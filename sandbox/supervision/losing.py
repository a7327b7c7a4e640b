"""`python -m sandbox kill PROGRAM`: kills a program of the portal in the running sandbox, with the jobs that it works on, by
SIGKILL. So it ends without a last word, as on a machine that loses power. The sandbox starts the program again.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sandbox.supervision.guard import marked

# What to kill, and the words of its command line.
PROGRAMS = {
    "deploys": ("manage.py", "rqworker", "deploys"),
    "builds": ("manage.py", "rqworker", "builds"),
    "live": ("manage.py", "rqworker", "live"),
    "scheduler": ("manage.py", "scheduler"),
}


def main(arguments: Sequence[str], directory: Path) -> int:
    """Kills the program that the arguments name. Returns the exit code: 1 when nothing of it runs."""
    parser = argparse.ArgumentParser(prog="python -m sandbox kill", description=__doc__)
    parser.add_argument(
        "program", choices=sorted(PROGRAMS), help="the workers of a queue with their jobs, or the scheduler"
    )
    name = parser.parse_args(arguments).program
    killed = kill(directory, name)
    if not killed:
        print(f"No program {name} of a sandbox in {directory} runs.")
        return 1
    print(
        f"Killed {name}: {len(killed)} process{'es' if len(killed) > 1 else ''}. The sandbox starts it again."
    )
    return 0


def kill(directory: Path, program: str) -> list[int]:
    """Kills all processes of a program (a key of PROGRAMS), and those that it has forked. Returns their ids."""
    killed = []
    for pid in marked(directory):
        if _words(pid)[-len(PROGRAMS[program]) :] == PROGRAMS[program]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    return killed


def _words(pid: int) -> tuple[str, ...]:
    """The command line of a process; empty when it has ended."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(text.decode(errors="replace").rstrip("\0").split("\0"))
