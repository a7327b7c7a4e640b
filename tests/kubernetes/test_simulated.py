"""What only the simulated control plane has: state in one file, faults to order, and its speed."""

from __future__ import annotations

import resource
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.cluster.api import Api, ApiFailed
from sandbox.cluster.control_plane import ControlPlaneError
from sandbox.kubernetes import faults as order
from sandbox.kubernetes.faults import order_fault
from sandbox.kubernetes.simulated import SimulatedCluster
from tests.kubernetes.support import Home, Raw, config_map, deployment, until
from tests.kubernetes.test_lists import Watcher
from tests.sandbox.played import start_nodes

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SimulatedCluster]:
    with SimulatedCluster(tmp_path / "cluster") as simulated:
        yield simulated


@pytest.fixture
def api(cluster: SimulatedCluster) -> Api:
    found = Api.from_kubeconfig(cluster.kubeconfig, user_agent="suite", connections=16)
    until(lambda: found.find("/api/v1/namespaces/default"), what="the namespace")
    return found


def test_it_holds_its_state_over_a_restart(cluster: SimulatedCluster, api: Api) -> None:
    made = api.create(MAPS, config_map(a="1"))
    api.create(DEPLOYMENTS, deployment())
    gone = api.create(MAPS, config_map("gone"))
    api.delete(f"{MAPS}/gone")
    text = cluster.kubeconfig.read_text()
    cluster.stop()
    cluster.start()
    assert cluster.kubeconfig.read_text() == text
    assert api.get(f"{MAPS}/settings") == made
    assert api.find(f"{MAPS}/gone") is None
    newer = api.create(MAPS, config_map("newer"))
    assert int(newer["metadata"]["resourceVersion"]) > int(gone["metadata"]["resourceVersion"])


def test_it_holds_its_state_when_it_is_killed(cluster: SimulatedCluster, api: Api) -> None:
    api.create(MAPS, config_map(a="1"))
    cluster.children[0].process.kill()
    cluster.children[0].process.wait()
    with pytest.raises(ControlPlaneError, match="ended"):
        cluster.check()
    cluster.stop()
    with (cluster.directory / "objects.jsonl").open("ab") as file:
        file.write(b'[999, "", "configmaps", "default", "cut')
    cluster.start()
    assert api.get(f"{MAPS}/settings")["data"] == {"a": "1"}


def test_its_files_are_for_their_owner_only(cluster: SimulatedCluster) -> None:
    for name in ("objects.jsonl", "kubeconfig", "tokens.key", "server.key", "ca.key"):
        assert stat.S_IMODE((cluster.directory / name).stat().st_mode) == 0o600, name


def test_two_do_not_share_a_folder(cluster: SimulatedCluster) -> None:
    with pytest.raises(ControlPlaneError, match="another one already runs"):
        SimulatedCluster(cluster.directory).start()
    cluster.check()


def test_watches_of_before_a_restart_end_with_410(cluster: SimulatedCluster, api: Api) -> None:
    version = api.get(MAPS)["metadata"]["resourceVersion"]
    cluster.stop()
    cluster.start()
    [event] = list(api.watch(MAPS, {"resourceVersion": version}, silence=5))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_it_is_ready_with_little_work(cluster: SimulatedCluster) -> None:
    cluster.stop()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    cluster.start()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 5


def test_an_api_that_is_down(cluster: SimulatedCluster, api: Api) -> None:
    order_fault(cluster.kubeconfig, "api-down", 1)
    until(lambda: _fails_with(api, 0), what="silence", seconds=60)
    until(lambda: not _fails_with(api, 0), what="its return", seconds=60)


def _fails_with(api: Api, status: int) -> bool:
    try:
        api.get(MAPS)
    except ApiFailed as error:
        return error.status == status
    return False


def test_an_api_that_throttles(cluster: SimulatedCluster) -> None:
    order_fault(cluster.kubeconfig, "throttle", 5)
    raw = Raw(cluster.kubeconfig.read_text())
    replies = [raw.get(MAPS) for _ in range(6)]
    assert sorted({r.status for r in replies}) == [200, 429]
    refused = next(r for r in replies if r.status == 429)
    assert (refused.reason, refused.headers["Retry-After"]) == ("TooManyRequests", "1")


def test_an_api_that_is_slow(cluster: SimulatedCluster, api: Api) -> None:
    order_fault(cluster.kubeconfig, "slow", 0.5)
    began = time.monotonic()
    api.get(MAPS)
    assert time.monotonic() - began > 0.45


def test_watches_that_expire(cluster: SimulatedCluster, api: Api) -> None:
    raw = Raw(cluster.kubeconfig.read_text())
    watch = Watcher(Home(raw, api, cluster.kubeconfig, "default"), MAPS)
    until(lambda: watch.events, what="the first event")
    order_fault(cluster.kubeconfig, "expire-watches")
    assert watch.ended.wait(60)
    assert watch.events[-1][2]["code"] == 410


def test_a_node_that_falls_silent(cluster: SimulatedCluster, api: Api, tmp_path: Path) -> None:
    nodes = start_nodes(cluster.kubeconfig, tmp_path / "nodes.log")
    api.create(DEPLOYMENTS, deployment(replicas=3))

    def places() -> list[str]:
        pods = api.get("/api/v1/namespaces/default/pods")["items"]
        return [p["spec"].get("nodeName", "") for p in pods if "deletionTimestamp" not in p["metadata"]]

    until(lambda: len(places()) == 3 and all(places()), what="three pods")
    words = order_fault(cluster.kubeconfig, "drop-node", 4)
    node = words.split()[0]
    ready = lambda: api.get(f"/api/v1/nodes/{node}")["status"]["conditions"][-1]["status"]  # noqa: E731
    assert ready() == "Unknown"
    until(lambda: len(places()) == 3 and node not in places(), what="pods elsewhere")
    until(lambda: ready() == "True", what="its return")
    nodes.process.terminate()
    nodes.process.wait()


def test_unknown_faults_and_strangers_are_refused(cluster: SimulatedCluster) -> None:
    with pytest.raises(ApiFailed, match="There is no fault 'fire'"):
        order_fault(cluster.kubeconfig, "fire")
    stranger = Raw(cluster.kubeconfig.read_text(), token="")
    assert stranger.post("/sandbox/faults", {"fault": "slow"}).status == 403


@pytest.mark.slow
def test_it_keeps_up(api: Api) -> None:
    """200 applies from 16 connections: a second on an idle machine, and no more than 40 on a busy one."""

    def apply(number: int) -> None:
        body = deployment(f"web-{number}", "2")
        api.apply(f"{DEPLOYMENTS}/web-{number}", body, manager="suite")

    with ThreadPoolExecutor(16) as pool:
        began = time.monotonic()
        list(pool.map(apply, range(200)))
    assert time.monotonic() - began < 40


@pytest.mark.slow
def test_many_watchers_hear_at_once(cluster: SimulatedCluster, api: Api) -> None:
    raw = Raw(cluster.kubeconfig.read_text())
    home = Home(raw, api, cluster.kubeconfig, "default")
    version = raw.get(MAPS).body["metadata"]["resourceVersion"]
    watchers = [Watcher(home, MAPS, resourceVersion=version) for _ in range(200)]
    api.create(MAPS, config_map())
    until(lambda: all(w.events for w in watchers), what="200 readers", seconds=60)
    for watcher in watchers:
        watcher.close()


def test_faults_are_ordered_by_a_command(
    cluster: SimulatedCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert order.main(["slow", "0.1s"], cluster.directory) == 0
    assert capsys.readouterr().out == "Each answer comes 0.1 s later, for 60 s.\n"
    assert order.main(["throttle"], tmp_path / "nowhere") == 1
    assert "No simulated cluster was started" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        order.main(["slow", "soon"], cluster.directory)
