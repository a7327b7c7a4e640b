"""The player is ended and started again, and so is the API server: pods go on as they were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.cluster.api import Api
from tests.planes import PLANES, Plane, running_plane
from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import PROBED, Shop, start_nodes, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=PLANES)
def own_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One that these tests may stop."""
    with running_plane(request.param, tmp_path_factory.mktemp("own")) as plane:
        yield plane


class Player:
    """The player, ended and started at will."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._kubeconfig, self._log = kubeconfig, log
        self.child: processes.Child | None = None

    def start(self) -> None:
        self.child = start_nodes(self._kubeconfig, self._log)

    def stop(self) -> None:
        assert self.child is not None
        processes.stop([self.child])


@pytest.fixture
def player(own_cluster: Plane, tmp_path: Path) -> Iterator[Player]:
    player = Player(own_cluster.kubeconfig, tmp_path / "nodes.log")
    player.start()
    yield player
    player.stop()


@pytest.fixture
def own_shop(own_cluster: Plane, player: Player, request: pytest.FixtureRequest) -> Shop:
    api = Api.from_kubeconfig(own_cluster.kubeconfig, user_agent="tests")
    name = request.node.originalname.replace("_", "-")[:40].strip("-")
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    until(lambda: api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"), what="its service account")
    return Shop(api, name)


def test_a_new_player_adopts(own_shop: Shop, player: Player, registry: FakeRegistry) -> None:
    shop = own_shop
    shop.run(registry.push("web:1", log="started"))
    shop.run(registry.push("bad:1", "crash", log="died"), "bad", container=PROBED)
    shop.run(f"{registry.host}/web:missing", "missing")
    shop.run(registry.push("job:1", log="migrated"), "job", policy="Never")
    until(lambda: shop.pod("job")["status"]["phase"] == "Succeeded", what="the end of the job")
    before = shop.ready()
    shop.waits_for("CrashLoopBackOff", "bad")
    shop.waits_for("ImagePullBackOff", "missing")
    restarts = shop.container("bad")["restartCount"]
    player.stop()
    shop.api.delete(f"{shop.core}/pods/missing")
    player.start()
    until(lambda: shop.log() == "started\n", what="the log again")
    until(lambda: shop.log("job") == "migrated\n", what="the job's log again")
    until(lambda: shop.log("bad") == "died\n", what="the log of what died")
    until(lambda: shop.log("bad", previous="true") == "died\n", what="the log of its run before")
    after = shop.pod()
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    assert after["status"]["conditions"] == before["status"]["conditions"]
    assert after["status"]["podIP"] == before["status"]["podIP"]
    until(lambda: shop.container("bad")["restartCount"] > restarts, what="a further restart")
    until(lambda: shop.api.find(f"{shop.core}/pods/missing") is None, what="the end of the deleted pod")
    shop.run(f"{registry.host}/web:1", "later")
    assert shop.ready("later")["status"]["podIP"] != after["status"]["podIP"]


def test_the_api_server_may_go_away(
    own_shop: Shop, player: Player, registry: FakeRegistry, own_cluster: Plane
) -> None:
    shop = own_shop
    shop.run(registry.push("web:1"))
    shop.ready()
    own_cluster.stop()
    time.sleep(0.5)
    own_cluster.start()
    shop.run(f"{registry.host}/web:1", "later")
    shop.ready("later")
    assert shop.container()["restartCount"] == 0
    shop.api.delete(f"{shop.core}/pods/web")
    until(lambda: shop.api.find(f"{shop.core}/pods/web") is None, what="the end of the deleted pod")


@pytest.mark.usefixtures("player")
def test_a_deleted_node_comes_back(own_shop: Shop) -> None:
    own_shop.api.delete("/api/v1/nodes/node-3")
    until(lambda: own_shop.api.find("/api/v1/nodes/node-3"), seconds=60, what="the node again")


@pytest.mark.usefixtures("player")
def test_a_node_that_was_taken_for_lost_is_ready_again(own_shop: Shop) -> None:
    """As the cluster does when it heard nothing of a node, because the API server stood still."""

    def ready() -> str:
        conditions = own_shop.api.get("/api/v1/nodes/node-2")["status"]["conditions"]
        return str(next(one["status"] for one in conditions if one["type"] == "Ready"))

    lost = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    own_shop.api.merge("/api/v1/nodes/node-2/status", {"status": {"conditions": [lost]}})
    until(lambda: ready() == "True" or None, seconds=60, what="the node is ready")


@pytest.mark.usefixtures("player")
def test_pods_of_a_node_that_was_taken_for_lost_are_ready_again(
    own_shop: Shop, registry: FakeRegistry
) -> None:
    """The cluster marks the pods of a lost node as unready; their kubelet knows better."""
    shop = own_shop
    shop.run(registry.push("web:1"))
    conditions = shop.ready()["status"]["conditions"]
    lost = [{**one, "status": "False"} if one["type"] == "Ready" else one for one in conditions]
    shop.api.merge(f"{shop.core}/pods/web/status", {"status": {"conditions": lost}})
    until(lambda: shop.condition("Ready")["status"] == "True" or None, seconds=60, what="the pod is ready")
