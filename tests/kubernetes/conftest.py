"""One suite, two control planes: each test runs on the simulated one and, where there is one, on the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import processes
from sandbox.cluster.api import Api
from tests.kubernetes.support import Home, Raw, some_name, until
from tests.planes import PLANES, Plane, running_plane
from tests.sandbox.played import start_nodes


@pytest.fixture(scope="session", params=PLANES)
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane without nodes, for all tests of its kind."""
    with running_plane(request.param, tmp_path_factory.mktemp(request.param)) as plane:
        yield plane


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
