"""Which images serve is told by the ready pods: the status of a workload counts old and new ones together."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cluster.live import read_all
from engine.types import Json
from tests.engine_cluster.objects import live_deployment, pod, replica_set, waiting

NEW, OLD, MESH = "registry.example/app:new", "registry.example/app:old", "mesh.example/proxy:1"
OLD_SET = replica_set("rs-0", revision="1")


class Namespace:
    """A cluster whose only namespace holds one Deployment; answers lists."""

    def __init__(self, deployment: Json, pods: list[Json]) -> None:
        self.lists = {"deployments": [deployment], "pods": pods, "replicasets": [replica_set(), OLD_SET]}

    def request(self, method: str, path: str, **options: Any) -> Json:
        return {"items": self.lists.get(path.rsplit("/", 1)[-1], []), "metadata": {"resourceVersion": "1"}}


def running(name: str, *images: str, owner: str = "rs-1", ready: bool = True) -> Json:
    containers = [] if ready else [waiting("CrashLoopBackOff", restarts=3)]
    found = pod(name, owner=owner, phase="Running", ready=ready, containers=containers)
    return {
        **found,
        "spec": {"containers": [{"name": f"c{at}", "image": image} for at, image in enumerate(images)]},
    }


@pytest.mark.parametrize(
    ("replicas", "pods", "serves"),
    [
        (1, [running("old", OLD, owner="rs-0"), running("new", NEW, ready=False)], (OLD,)),
        (2, [running("old", OLD, owner="rs-0"), running("one", NEW), running("two", NEW)], ()),
        (
            2,
            [
                running("a", OLD, owner="rs-0"),
                running("b", OLD, owner="rs-0"),
                running("c", NEW, ready=False),
            ],
            (OLD,),
        ),
        (1, [running("new", NEW, MESH)], ()),
        (1, [running("new", NEW, ready=False)], ()),
    ],
    ids=[
        "one replica, whose new pod crashes",
        "most are new",
        "two old ones",
        "a container put in by the cluster",
        "nothing is ready",
    ],
)
def test_what_serves(replicas: int, pods: list[Json], serves: tuple[str, ...]) -> None:
    """A new pod that crashes is updated, and the old one ready: of one replica both numbers are full."""
    ready = sum(item["status"]["conditions"][0]["status"] == "True" for item in pods)
    body = live_deployment(replicas=replicas, readyReplicas=ready, updatedReplicas=replicas)
    body["spec"]["template"] = {"spec": {"containers": [{"name": "web", "image": NEW}]}}
    [workload] = read_all(Namespace(body, pods), "shop", environment_label="shop.staging").workloads  # type: ignore[arg-type]
    assert workload.serves == serves
