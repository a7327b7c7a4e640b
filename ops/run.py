"""`python -m ops.run` (`make run`): runs all processes of the portal on one machine, against the services named by
environment variables. It restarts a process that ends; TERM or Ctrl-C ends all. When it is killed itself, they get TERM.

In production the same processes can run as containers; this is a minimal supervisor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from portal import env

WEB_PROCESSES = 2
DEPLOYS_AT_ONCE = 4
BUILDS_AT_ONCE = 2
# Workers of the other queues (portal/settings.py: RQ_QUEUES). Two read clusters, so that a slow one does not delay the others.
WORKERS = {
    "live-1": "live",
    "live-2": "live",
    "messages": "messages",
    "git": "git",
    "short": "short",
    "registry": "registry",
}
CALM_SECONDS = 60.0
LONGEST_PAUSE = 30.0
GRACE_SECONDS = 30.0
PR_SET_PDEATHSIG = 1  # prctl(2): the signal that a process gets when its parent has ended
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass
class Kept:
    """A process to keep running, and the time of its next start."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.5
    again_at: float = 0.0

    def start(self) -> None:
        """Starts it in its own process group, so that Ctrl-C reaches only the supervisor, which ends it in order."""
        parent = os.getpid()
        # Safe here: this program has no other thread whose lock the new process could inherit.
        self.process = subprocess.Popen(
            self.command, start_new_session=True, preexec_fn=lambda: end_with(parent)
        )
        self.started = time.monotonic()

    def tend(self) -> None:
        """Starts it when it is not running, after a pause that grows with each failed start."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            code, self.process = self.process.returncode, None
            self.pause = 0.5 if now - self.started > CALM_SECONDS else min(self.pause * 2, LONGEST_PAUSE)
            self.again_at = now + self.pause
            say(f"{self.name} ended ({code}); it is started again in {self.pause:.0f} s")
        elif now >= self.again_at:
            self.start()


def end_with(parent: int) -> None:
    """Called in a new process, before its program: it gets TERM when its parent ends, also when the parent is killed. Only Linux
    can do that."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def manage(*args: str) -> list[str]:
    """The command line of a management command."""
    return [sys.executable, "manage.py", *args]


def processes() -> list[Kept]:
    """The portal's processes; WEB_PROCESSES, DEPLOY_WORKERS and BUILD_WORKERS give their numbers."""
    port = env.integer("PORT", 8000)
    web = [
        sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", env.text("HOST", "127.0.0.1"), "--port", str(port),
        "--workers", str(env.integer("WEB_PROCESSES", WEB_PROCESSES)), "--timeout-graceful-shutdown", "3", "--no-access-log",
        "--no-proxy-headers",  # uvicorn would trust headers from this machine; only TRUSTED_PROXIES decides
    ]  # fmt: skip
    workers = env.integer("DEPLOY_WORKERS", DEPLOYS_AT_ONCE)
    builds = env.integer("BUILD_WORKERS", BUILDS_AT_ONCE)
    return [
        Kept("web", web),
        *(Kept(f"deploys-{n}", manage("rqworker", "deploys")) for n in range(1, workers + 1)),
        *(Kept(f"builds-{n}", manage("rqworker", "builds")) for n in range(1, builds + 1)),
        *(Kept(name, manage("rqworker", queue)) for name, queue in WORKERS.items()),
        Kept("scheduler", manage("scheduler")),
    ]


def say(text: str) -> None:
    """Prints one line of progress."""
    sys.stderr.write(f"run: {text}\n")
    sys.stderr.flush()


def end(kept: list[Kept]) -> None:
    """Asks all processes to end; workers finish or hand over their jobs. Kills a process that does not end in time."""
    alive = [
        (one.name, one.process) for one in kept if one.process is not None and one.process.poll() is None
    ]
    for _, process in alive:
        process.terminate()
    began = time.monotonic()
    for name, process in alive:
        try:
            process.wait(max(0.1, began + GRACE_SECONDS - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{name} did not end within {GRACE_SECONDS:.0f} s and is killed")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    say(f"everything has ended after {time.monotonic() - began:.1f} s")


def prepare(stop: threading.Event) -> int:
    """Checks the settings, compresses static files and migrates the database. Returns the first exit code that is not 0,
    else 0.

    When `stop` is set, the running command still finishes, so that no migration is interrupted.
    """
    for command in (
        manage("check", "--fail-level", "ERROR"),
        manage("collectstatic", "--no-input", "--verbosity=0"),
        manage("migrate", "--no-input"),
        manage("setuplink"),
    ):
        if stop.is_set():
            return 0
        code = subprocess.run(command, check=False, start_new_session=True).returncode
        if code:
            return code
    return 0


def main() -> int:
    """Prepares, then keeps everything running until TERM or Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    code = prepare(stop)
    if code or stop.is_set():
        return code
    kept = processes()
    for one in kept:
        one.start()
    say(f"the portal is at {env.text('BASE_URL') or 'http://127.0.0.1:' + str(env.integer('PORT', 8000))}")
    while not stop.wait(0.5):
        for one in kept:
            one.tend()
    end(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
