"""The control planes that tests run on: the simulated one always, the real one where KUBEBUILDER_ASSETS names it.

A session fixture with `params=PLANES` makes each test that uses it run on both; the run ends with both counts.
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
    """Skips the test, with the reason, where no real control plane can be started."""
    try:
        assets()
    except ControlPlaneError as error:
        pytest.skip(f"{error.message} {error.hint}")


def new_plane(which: str, directory: Path) -> Plane:
    """One of `NAMES`, not started yet. Skips the test where it cannot be had."""
    if which == "simulated":
        return SimulatedCluster(directory)
    need_control_plane()
    return ControlPlane(directory)


@contextmanager
def running_plane(which: str, directory: Path) -> Iterator[Plane]:
    """One of `NAMES`, without nodes, for the duration of the block."""
    with new_plane(which, directory) as plane:
        yield plane


def kubectl_program() -> Path:
    """`kubectl` of KUBEBUILDER_ASSETS. Skips the test, with the reason, where there is none."""
    need_control_plane()
    program = assets() / "kubectl"
    if not program.exists():
        pytest.skip(f"{program} is not there.")
    return program


def plane_of(item: pytest.Item) -> str:
    """The control plane that a test runs on, `""` for those that need none."""
    params = getattr(item, "callspec", None) and item.callspec.params.values()
    return next((value for value in params or () if value in NAMES), "")


def count(item: pytest.Item, report: pytest.TestReport) -> None:
    """Takes note of how a test ended on its control plane."""
    which = plane_of(item)
    if which and (report.when == "call" or report.outcome != "passed"):
        _counts[which, report.outcome] += 1


def counted() -> Iterator[str]:
    """A line for each control plane that tests ran on."""
    for which in NAMES:
        outcomes = [(n, outcome) for (plane, outcome), n in sorted(_counts.items()) if plane == which]
        if outcomes:
            words = ", ".join(f"{n} {outcome}" for n, outcome in outcomes)
            yield f"on the {which} control plane: {words}"
