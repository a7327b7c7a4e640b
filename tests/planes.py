"""The control planes that tests run on: always the simulated one, and the real one where KUBEBUILDER_ASSETS names it.

With a session fixture of `params=PLANES` each test runs on both. The summary of the run has the numbers of both.
Tests on the real one carry the mark `control_plane`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.cluster.control_plane import ControlPlane, ControlPlaneError, assets
from sandbox.kubernetes.simulated import SimulatedCluster

Plane = ControlPlane | SimulatedCluster
NAMES = ("simulated", "real")
PLANES = ("simulated", pytest.param("real", marks=pytest.mark.control_plane))
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
            yield f"on the {which} control plane: {words}"
