"""The running programs of a sandbox: starts them, restarts those that end, stops them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox import processes
from sandbox.layout import ROOT, Layout
from sandbox.processes import Child, ProcessError
from sandbox.supervision.programs import Program

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds before a program that ended is started again
_CALM = 60.0  # seconds of running after which the pause before a restart is short again
# Longer than any program needs to end: a worker waits core.worker.LEAVE_SECONDS for its job.
PATIENCE = 12.0


def say(text: str) -> None:
    """Prints one line. Ignores a closed terminal, which must not prevent the stop."""
    try:
        print(text, flush=True)
    except OSError:
        return


@dataclass
class _Kept:
    """A program and its current process."""

    program: Program
    child: Child
    started: float
    pause: float = _FIRST_PAUSE
    again_at: float = 0.0  # 0: running, or its end was not noticed yet


@dataclass
class Household:
    """All programs of one sandbox. Several threads may call `start` and `run`; only one thread may call the rest."""

    layout: Layout
    began: float = field(default_factory=time.monotonic)
    _kept: list[_Kept] = field(default_factory=list)
    _passing: list[Child] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: bool = False

    def tell(self, text: str) -> None:
        """Prints a line of progress with the seconds since the start."""
        say(f"{time.monotonic() - self.began:6.1f} s  {text}")

    def start(self, program: Program, *, seconds: float = 30.0) -> None:
        """Starts a program, keeps it running from now on, and waits until it answers. Raises ProcessError."""
        self.layout.log(program.name).unlink(missing_ok=True)
        with self._lock:
            kept = _Kept(program, self._spawn(program), time.monotonic())
            self._kept.append(kept)
        if program.answers is None:
            return self.tell(f"{program.name} is started")
        processes.wait_until(program.answers, [kept.child], seconds=seconds, what=program.name)
        return self.tell(f"{program.name} is ready")

    def run(self, program: Program, *, seconds: float = 600.0) -> None:
        """Runs a program to its end. Raises ProcessError when it fails or does not end in time."""
        self.layout.log(program.name).unlink(missing_ok=True)
        with self._lock:
            child = self._spawn(program)
            self._passing.append(child)
        deadline = time.monotonic() + seconds
        while child.alive():
            if time.monotonic() > deadline:
                raise ProcessError(f"{program.name} did not end within {seconds:.0f} s. Its log: {child.log}")
            time.sleep(0.02)
        if child.process.returncode:
            processes.check([child])
        self.tell(f"{program.name} is done")

    def look_after(self) -> None:
        """Restarts programs that have ended, after a pause that grows with each repeated end."""
        now = time.monotonic()
        for kept in self._kept:
            if kept.child.alive():
                continue
            if not kept.again_at:
                kept.pause = (
                    _FIRST_PAUSE if now - kept.started > _CALM else min(kept.pause * 2, _LONGEST_PAUSE)
                )
                kept.again_at = now + kept.pause
                code = kept.child.process.returncode
                self.tell(f"{kept.program.name} ended ({code}); it is started again. Log: {kept.child.log}")
            elif now >= kept.again_at:
                with self._lock:
                    kept.child, kept.started, kept.again_at = self._spawn(kept.program), now, 0.0

    def stop(self, *, last: Iterable[str] = (), seconds: float = PATIENCE) -> None:
        """Ends all programs and prints how each ended: those named in `last` after all others. Safe to call twice."""
        with self._lock:
            self._stopping = True
        names = set(last)
        users = [kept.child for kept in self._kept if kept.program.name not in names]
        used = [kept.child for kept in self._kept if kept.program.name in names]
        for children in ([*users, *self._passing], used):
            processes.stop_together(children, seconds, tell=lambda end: self.tell(str(end)))

    def _spawn(self, program: Program) -> Child:
        if self._stopping:
            raise ProcessError(f"{program.name} is not started any more: the sandbox is stopping")
        log = self.layout.log(program.name)
        return processes.spawn(program.command, log=log, env=program.env, cwd=ROOT, name=program.name)
