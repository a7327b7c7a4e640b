"""`python -m ops.run` (`make run`): every process of the portal on one machine, against the services that the
environment names. What ends is started again; TERM or Ctrl-C ends all.

In production the same processes run as containers (design: Processes); this is the smallest supervisor that will do.
"""

from __future__ import annotations

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
CALM_SECONDS = 60.0
LONGEST_PAUSE = 30.0
GRACE_SECONDS = 30.0


@dataclass
class Kept:
    """A process that is to be running, and when it may be started again."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.5
    again_at: float = 0.0

    def start(self) -> None:
        """Starts it in a group of its own, so that Ctrl-C reaches only us and we end it in order."""
        self.process = subprocess.Popen(self.command, start_new_session=True)
        self.started = time.monotonic()

    def tend(self) -> None:
        """Starts it when it is not running, after a pause that grows while it goes on ending."""
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


def manage(*args: str) -> list[str]:
    """A management command's command line."""
    return [sys.executable, "manage.py", *args]


def processes() -> list[Kept]:
    """The portal's processes; how many by WEB_PROCESSES and DEPLOY_WORKERS."""
    port = env.integer("PORT", 8000)
    web = [
        sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", env.text("HOST", "127.0.0.1"), "--port", str(port),
        "--workers", str(env.integer("WEB_PROCESSES", WEB_PROCESSES)), "--timeout-graceful-shutdown", "3", "--no-access-log",
        "--no-proxy-headers",  # uvicorn believes whoever connects from this machine; TRUSTED_PROXIES says whom we believe
    ]  # fmt: skip
    workers = env.integer("DEPLOY_WORKERS", DEPLOYS_AT_ONCE)
    return [
        Kept("web", web),
        *(Kept(f"deploys-{n}", manage("rqworker", "deploys")) for n in range(1, workers + 1)),
        Kept("short", manage("rqworker", "short")),
        Kept("scheduler", manage("scheduler")),
    ]


def say(text: str) -> None:
    """One line for whoever watches."""
    sys.stderr.write(f"run: {text}\n")
    sys.stderr.flush()


def end(kept: list[Kept]) -> None:
    """Asks all to end; workers finish or hand over what they do. Who has not ended in time is killed."""
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
    """Checks the settings, compresses static files, brings the database up to date; the first bad exit code, else 0.

    What runs when the end is asked for is let finish: a migration is not broken off.
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
