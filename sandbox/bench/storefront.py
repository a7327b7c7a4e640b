"""Compares a deploy of the sample `storefront` on the sandbox's simulated cluster with one on the real control plane.

It runs two sandboxes with the same played nodes, and deploys to them in turns, alternating between two revisions so that
each deploy replaces all pods. A deploy's time is the sum of its steps. `ratio` is peer_s / ours_s with the simulated
cluster as ours, and may not fall below 1 / 1.5.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sandbox import environment
from sandbox.bench import progress

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240.0
REVISIONS = ("main~1", "main")


def rows(*, rounds: int = 5) -> list[dict[str, Any]]:
    """The row `storefront-simulated`: medians over the rounds; the first deploy of each is not counted."""
    with ExitStack() as stack:
        progress.tell("starting two sandboxes")
        sandboxes = [stack.enter_context(sandbox(simulated=simulated)) for simulated in (True, False)]
        taken: list[list[float]] = [[], []]
        for number in progress.rounds(rounds + 1, "a deploy on each"):
            for seconds, environment in zip(taken, sandboxes, strict=True):
                seconds.append(deploy(environment, REVISIONS[number % 2]))
    ours_s, peer_s = (statistics.median(seconds[1:]) for seconds in taken)
    return [
        {
            "name": "storefront-simulated", "ours_s": round(ours_s, 4), "peer": "on the real control plane",
            "peer_s": round(peer_s, 4), "ratio": round(peer_s / ours_s, 2),
        }
    ]  # fmt: skip


@contextmanager
def sandbox(*, simulated: bool) -> Iterator[dict[str, str]]:
    """Runs a sandbox in a new folder. Yields its variables once it is ready. Raises RuntimeError when it does not start."""
    from sandbox.processes import free_port

    with tempfile.TemporaryDirectory(prefix="slipway-bench-", ignore_cleanup_errors=True) as folder:
        variables = {**os.environ, "SANDBOX_DIR": folder, "PORT": str(free_port())}
        if simulated:
            variables.pop("KUBEBUILDER_ASSETS", None)
        with open(Path(folder) / "out.log", "wb") as out:
            command = [sys.executable, "-m", "sandbox"]
            process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=out, stderr=out)
        try:
            wait_for(Path(folder) / "env", process)
            yield environment.read(Path(folder) / "env")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until the file exists. Raises RuntimeError when the process ends before, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((file.parent / "out.log").read_text()[-2000:])
        time.sleep(0.2)


def deploy(environment: dict[str, str], revision: str) -> float:
    """Seconds that the steps of a deploy to staging take. Raises RuntimeError when it does not succeed."""
    repository = Path(environment["SANDBOX_DIR"]) / "git" / "storefront.git"
    commit = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", revision], check=True, capture_output=True, text=True
    ).stdout.strip()
    done = subprocess.run(
        [sys.executable, "manage.py", "deploy", "storefront", "staging", "--revision", commit, "--wait", "--json"],
        cwd=ROOT, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"The deploy of the benchmark did not succeed: {done.stdout} {done.stderr}")
    return sum(step["seconds"] or 0.0 for step in json.loads(done.stdout)["steps"])
