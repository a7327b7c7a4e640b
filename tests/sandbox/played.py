"""Fixtures: both control planes, played nodes on them, a registry, and a namespace of one's own.

Import the fixtures into a conftest to use them: `from tests.sandbox.played import cluster, nodes, registry, shop`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox import processes
from sandbox.cluster.api import Api
from sandbox.node import READY_LINE, command
from tests.planes import PLANES, Plane, running_plane
from tests.sandbox.fake_registry import FakeRegistry

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
SPEED = 4.0  # back-off of 10 s becomes 2.5
# With a readiness probe `CrashLoopBackOff` is seen soon, and for long; without one for an instant only.
PROBED = {"readinessProbe": {"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 1}}


def until(question: Callable[[], Any], *, seconds: float = 90.0, what: str = "") -> Any:
    """The first answer that is true. Fails when there is none in time, with the last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"{what or 'it'} did not happen in {seconds:.0f} s: {answer!r}"
        time.sleep(0.05)
    return answer


def start_nodes(kubeconfig: Path, log: Path, *, speed: float = SPEED, **options: Any) -> processes.Child:
    """The player as a child, once its nodes are registered."""
    log.unlink(missing_ok=True)
    line = command(kubeconfig, speed=speed, **options)
    child = processes.spawn(line, log=log, env={"PATH": os.defpath}, cwd=ROOT, name="nodes")
    processes.wait_until(
        lambda: any(READY_LINE in text for text in child.last_lines()), [child], seconds=90, what="the nodes"
    )
    return child


@dataclass
class Shop:
    """A namespace of the cluster, and short words for what tests do there."""

    api: Api
    name: str
    made: list[str] = field(default_factory=list)

    @property
    def core(self) -> str:
        return f"/api/v1/namespaces/{self.name}"

    @property
    def apps(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.name}"

    @property
    def batch(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.name}"

    def run(self, image: str, name: str = "web", *, policy: str = "Always", **spec: Any) -> None:
        """Creates a pod; of `spec`, `container` adds to its only container, `labels` and `annotations` to its
        metadata.
        """
        container = {"name": "main", "image": image, **spec.pop("container", {})}
        meta = {"name": name, "annotations": spec.pop("annotations", {}), "labels": spec.pop("labels", {})}
        body = {
            "metadata": meta,
            "spec": {"restartPolicy": policy, "containers": [container], **spec},
        }
        self.api.create(f"{self.core}/pods", body)

    def pod(self, name: str = "web") -> Json:
        return self.api.get(f"{self.core}/pods/{name}")

    def container(self, name: str = "web") -> Json:
        """The status of the pod's first container, {} before it has one."""
        return ([*self.pod(name).get("status", {}).get("containerStatuses", []), {}])[0]

    def waits_for(self, reason: str, name: str = "web", seconds: float = 20.0) -> str:
        """Until the container waits with that reason; returns the message."""

        def waiting() -> Json | None:
            found = self.container(name).get("state", {}).get("waiting") or {}
            return found if found.get("reason") == reason else None

        return str(until(waiting, seconds=seconds, what=reason).get("message", ""))

    def ready(self, name: str = "web", seconds: float = 20.0) -> Json:
        """Until the pod is ready; returns it."""
        until(
            lambda: self.condition("Ready", name).get("status") == "True",
            seconds=seconds,
            what=f"{name} ready",
        )
        return self.pod(name)

    def condition(self, kind: str, name: str = "web") -> Json:
        found = self.pod(name).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == kind), {})

    def events(self, name: str = "web") -> list[str]:
        """`Warning Failed: message`, in the order of their first time."""
        items = self.api.get(f"{self.core}/events", {"fieldSelector": f"involvedObject.name={name}"})["items"]
        items.sort(key=lambda e: e.get("firstTimestamp") or "")
        return [f"{e['type']} {e['reason']}: {e['message']}" for e in items]

    def has_event(self, text: str, name: str = "web") -> str:
        """Until an event contains that text; returns it."""
        return str(
            until(lambda: next((e for e in self.events(name) if text in e), ""), what=f"event {text!r}")
        )

    def log(self, name: str = "web", **query: str) -> str:
        return self.api.text(f"{self.core}/pods/{name}/log", query)


@pytest.fixture(scope="session", params=PLANES)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane of one's own, without nodes, for the whole run."""
    with running_plane(request.param, tmp_path_factory.mktemp("cluster")) as plane:
        yield plane


@pytest.fixture(scope="session")
def nodes(cluster: Plane) -> Iterator[processes.Child]:
    """Three played nodes on it, four times as fast as usual."""
    child = start_nodes(cluster.kubeconfig, cluster.directory / "nodes.log")
    yield child
    processes.stop([child])
    errors = [line for line in processes.tail(child.log, 1000) if "Traceback" in line or "refused" in line]
    assert errors == [], child.last_lines(50)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """Empty, and open to anyone until a password is set."""
    fake = FakeRegistry()
    yield fake
    fake.close()


@pytest.fixture
def shop(cluster: Plane, nodes: processes.Child) -> Iterator[Shop]:
    """A new namespace, removed afterwards."""
    api = Api.from_kubeconfig(cluster.kubeconfig, user_agent="tests")
    name = f"shop-{uuid.uuid4().hex[:8]}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    until(lambda: api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"), what="its service account")
    yield Shop(api, name)
    api.delete(f"/api/v1/namespaces/{name}")
