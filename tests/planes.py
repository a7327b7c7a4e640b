"""The control planes that tests run on: always the simulated one, and the real one where KUBEBUILDER_ASSETS names it.

With a session fixture of `params=PLANES` each test runs on both. The summary of the run has the numbers of both.
Tests on the real one carry the mark `control_plane`.

A third one has a real node, on which pods really run, crash and serve. SLIPWAY_NODE names the folder of its commands `up`,
`down` and `image` (`.ci/run` sets it). Only tests that judge rollouts use it (tests/kubelet), by `params=NODE_ONLY`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.types import Json
from sandbox.cluster.control_plane import ControlPlane, ControlPlaneError, assets
from sandbox.kubernetes.simulated import SimulatedCluster

Plane = ControlPlane | SimulatedCluster
NAMES = ("simulated", "real", "node")
PLANES = ("simulated", pytest.param("real", marks=pytest.mark.control_plane))
NODE_ONLY = (pytest.param("node", marks=pytest.mark.real_node),)
_counts: Counter[tuple[str, str]] = Counter()  # (plane, outcome)


def need_control_plane() -> None:
    """Skips the test, with the reason, when no real control plane can be started."""
    try:
        assets()
    except ControlPlaneError as error:
        pytest.skip(f"{error.message} {error.hint}")


def new_plane(which: str, directory: Path) -> Plane:
    """Makes one of `NAMES`, not started. Skips the test when it is not available."""
    if which == "simulated":
        return SimulatedCluster(directory)
    need_control_plane()
    return ControlPlane(directory)


@contextmanager
def running_plane(which: str, directory: Path) -> Iterator[Plane]:
    """Runs one of `NAMES`, without nodes, during the block."""
    with new_plane(which, directory) as plane:
        yield plane


@dataclass(frozen=True)
class RealNode:
    """One real node with its control plane and a private registry. `commands`: the folder of SLIPWAY_NODE."""

    commands: Path
    directory: Path
    kubeconfig: Path
    registry: str
    user: str
    password: str

    def image(self, name: str, *command: str) -> str:
        """Pushes an image of busybox that runs the command; the reference to pull it by."""
        words = [str(self.commands / "image"), str(self.directory), name, "--", *command]
        done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
        return _values(done.stdout)["IMAGE"]

    def pull_secret(self, name: str) -> Json:
        """A Secret with the registry's credential."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        config = json.dumps({"auths": {self.registry: {"auth": login}}})
        data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
        return {"metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson", "data": data}


@contextmanager
def running_node() -> Iterator[RealNode]:
    """The real node, for the duration of the block. Skips the test, with the reason, where it cannot be had.

    It is shared with other runs on this machine, and goes down with the last process that asked for it.
    """
    where = os.environ.get("SLIPWAY_NODE", "")
    if not where or not (Path(where) / "up").exists():
        pytest.skip("SLIPWAY_NODE names no folder with the commands of a real node (up, down, image).")
    commands, directory = Path(where).resolve(), Path(tempfile.gettempdir()) / "slipway-test-node"
    mine = [str(directory), "--for", str(os.getpid())]
    up = subprocess.run([str(commands / "up"), *mine], capture_output=True, text=True, timeout=180)
    if up.returncode == 3:
        pytest.skip(f"No real node here: {up.stderr.strip()}")
    assert up.returncode == 0, up.stderr
    found = _values(up.stdout)
    try:
        yield RealNode(
            commands,
            directory,
            Path(found["KUBECONFIG"]),
            found["REGISTRY"],
            found["REGISTRY_USER"],
            found["REGISTRY_PASSWORD"],
        )
    finally:
        subprocess.run([str(commands / "down"), *mine], check=True, capture_output=True, timeout=60)


def _values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def kubectl_program() -> Path:
    """`kubectl` of KUBEBUILDER_ASSETS. Skips the test, with the reason, when it is missing."""
    need_control_plane()
    program = assets() / "kubectl"
    if not program.exists():
        pytest.skip(f"{program} is not there.")
    return program


def plane_of(item: pytest.Item) -> str:
    """The control plane of a test, `""` for a test that needs none."""
    params = getattr(item, "callspec", None) and item.callspec.params.values()
    return next((value for value in params or () if value in NAMES), "")


def count(item: pytest.Item, report: pytest.TestReport) -> None:
    """Counts the outcome of a test on its control plane."""
    which = plane_of(item)
    if which and (report.when == "call" or report.outcome != "passed"):
        _counts[which, report.outcome] += 1


def counted() -> Iterator[str]:
    """Yields a line for each control plane with tests."""
    for which in NAMES:
        outcomes = [(n, outcome) for (plane, outcome), n in sorted(_counts.items()) if plane == which]
        if outcomes:
            words = ", ".join(f"{n} {outcome}" for n, outcome in outcomes)
            place = "node" if which == "node" else f"{which} control plane"
            yield f"on the {'real ' if which == 'node' else ''}{place}: {words}"
