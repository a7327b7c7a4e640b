"""One suite, two control planes: each test runs on the simulated one and, where there is one, on the real one.

The run ends with how many tests passed on each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.api import Api
from sandbox.control_plane import ControlPlane, ControlPlaneError, assets
from sandbox.kubernetes.simulated import SimulatedCluster
from tests.kubernetes.support import Home, Raw, some_name, until
from tests.sandbox.played import start_nodes

Plane = ControlPlane | SimulatedCluster
_counts: Counter[tuple[str, str]] = Counter()


@pytest.fixture(scope="session", params=["simulated", pytest.param("real", marks=pytest.mark.control_plane)])
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane without nodes, for all tests of its kind."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "simulated":
        with SimulatedCluster(directory) as simulated:
            yield simulated
        return
    try:
        assets()
    except ControlPlaneError as error:
        pytest.skip(f"{error.message} {error.hint}")
    with ControlPlane(directory) as real:
        yield real


@pytest.fixture(scope="session")
def nodes(plane: Plane) -> Iterator[processes.Child]:
    """Three played nodes, four times as fast as usual."""
    child = start_nodes(plane.kubeconfig, plane.directory / "nodes.log")
    yield child
    processes.stop([child])


@pytest.fixture(scope="session")
def raw(plane: Plane) -> Raw:
    return Raw(plane.kubeconfig.read_text())


@pytest.fixture
def home(plane: Plane, raw: Raw) -> Iterator[Home]:
    """A new namespace, removed afterwards (not waited for)."""
    api = Api.from_kubeconfig(plane.kubeconfig, user_agent="suite")
    name = some_name()
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    until(lambda: api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"), what="its service account")
    yield Home(raw, api, plane.kubeconfig, name)
    api.delete(f"/api/v1/namespaces/{name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    which = getattr(item, "callspec", None) and item.callspec.params.get("plane")
    if which and (report.when == "call" or report.outcome != "passed"):
        _counts[which, report.outcome] += 1
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Both counts."""
    for which in ("simulated", "real"):
        words = ", ".join(
            f"{n} {outcome}" for (plane, outcome), n in sorted(_counts.items()) if plane == which
        )
        if words:
            terminalreporter.write_line(f"Kubernetes suite on the {which} control plane: {words}")
