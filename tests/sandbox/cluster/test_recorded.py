"""The player shows what a real kubelet showed (tests/kubelet/recorded.json): the same states, reasons and restart counts in
the same order, never earlier and not much later.

Times count from the request that makes or deletes a pod, and are compared on the simulated control plane only: the player is
the same program on both, and a real API server on a busy machine answers late for reasons of its own.

All pods are made at once and watched together, four times as fast as recorded.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.cluster.api import Api, ApiFailed
from sandbox.cluster.control_plane import ControlPlane
from sandbox.processes import Child
from tests.kubelet.recorded import Behaviour, Moment, behaviours, distinct, moment_of
from tests.planes import Plane
from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import SPEED, until

pytestmark = pytest.mark.slow
Json = dict[str, Any]
SECONDS = 32.0  # of the recording that are played
LATE = 120.0  # seconds of the recording (thirty of the clock) by which a busy machine may be late
AWAY = "registry.example/app:1"  # out of reach: taken as good, behaves as the pod's annotation says
# Recorded behaviour, the words that play it, and the restart policy.
PLAYED = {
    "ready-no-probe": "ready",
    "ready-exec-probe": "slow:2",
    "ready-http-probe": "slow:2",
    "crash-at-once": "crash:3",
    "crash-after-2s": "crash-later:2",
    "crash-after-8s": "crash-later:8",
    "exit-0": "exits:0",
    "crash-at-once-readiness": "crash:3",
    "oom": "oom",
    "never-ready": "never-ready",
    "liveness-fails": "hangs-up:5",
    "startup-never-passes": "never-ready",
    "wrong-tag": "",
    "no-pull-secret": "",
    "registry-down": "",
    "invalid-image-name": "",
    "command-not-found": "cannot-start",
    "missing-configmap-key": "ready",
    "missing-secret": "ready",
    "missing-configmap-volume": "ready",
    "init-fails": "init-fails:3",
    "init-hangs": "init-slow:1000",
    "job-succeeds": "job-slow:2",
    "job-fails": "job-fails:3",
    "pod-deleted": "ignores-term",
}
# Events of a real kubelet that depend on how busy the machine was, or come from elsewhere.
UNSURE = {"Normal Scheduled", "Normal Pulling", "Normal Pulled", "Normal BackOff"}


@dataclass
class Seen:
    """What was seen of one played pod, in recorded seconds."""

    moments: list[Moment] = field(default_factory=list)
    events: set[str] = field(default_factory=set)


@dataclass
class Stage:
    """A namespace in which everything is played, and what a watch shows of it."""

    api: Api
    name: str
    began: dict[str, float] = field(default_factory=dict)
    seen: dict[str, list[Moment]] = field(default_factory=dict)

    def watch(self) -> None:
        """Until the server ends the watch."""
        version = self.api.get(f"{self.path}/pods")["metadata"]["resourceVersion"]
        query = {"resourceVersion": version, "timeoutSeconds": str(int(SECONDS / SPEED) + 240)}

        def follow() -> None:
            try:
                for event in self.api.watch(f"{self.path}/pods", query, silence=60):
                    self.take(event["object"])
            except ApiFailed:
                return

        threading.Thread(target=follow, daemon=True).start()

    def take(self, pod: Json) -> None:
        name = pod["metadata"]["name"]
        at = (time.monotonic() - self.began[name]) * SPEED
        container = "migrate" if name.startswith("init-") else "app"
        self.seen.setdefault(name, []).append(moment_of(pod, at, container))

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.name}"

    def events_of(self, name: str) -> set[str]:
        query = {"fieldSelector": f"involvedObject.name={name}"}
        items = self.api.get(f"{self.path}/events", query)["items"]
        return {f"{e['type']} {e['reason']}" for e in items}


def pod_of(behaviour: Behaviour, registry: FakeRegistry, closed: FakeRegistry) -> Json:
    images = {
        "wrong-tag": f"{registry.host}/web:missing",
        "no-pull-secret": f"{closed.host}/web:1",
        "registry-down": "127.0.0.1:1/team/app:1",
        "invalid-image-name": "127.0.0.1:5000/Team/App:1",
    }
    name, words = behaviour.name, PLAYED[behaviour.name]
    spec: Json = {
        "containers": [{**behaviour.container, "image": images.get(name, AWAY)}],
        "restartPolicy": "Never" if name.startswith("job-") else "Always",
        "terminationGracePeriodSeconds": 1,
        "volumes": behaviour.volumes,
    }
    if name.startswith("init-"):
        spec["initContainers"] = [{"name": "migrate", "image": AWAY}]
    annotations = {"slipway.sandbox/behaviour": words} if words else {}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


@pytest.fixture(scope="module")
def stage(cluster: Plane, nodes: Child) -> Iterator[Stage]:
    """Everything played to its end; read only."""
    api = Api.from_kubeconfig(cluster.kubeconfig, user_agent="tests")
    stage = Stage(api, f"recorded-{uuid.uuid4().hex[:8]}")
    api.create("/api/v1/namespaces", {"metadata": {"name": stage.name}})
    until(lambda: api.find(f"{stage.path}/serviceaccounts/default"), what="its service account")
    api.create(f"{stage.path}/configmaps", {"metadata": {"name": "settings"}, "data": {"OTHER": "x"}})
    registry, closed = FakeRegistry(), FakeRegistry()
    registry.push("web:1")
    closed.push("web:1")
    closed.password = "secret"
    stage.watch()
    for name in PLAYED:
        stage.began[name] = time.monotonic()
        api.create(f"{stage.path}/pods", pod_of(behaviours()[name], registry, closed))
    until(lambda: stage.seen.get("pod-deleted", [_NONE])[-1].ready, what="the pod that will be deleted")
    stage.began["pod-deleted"] = time.monotonic()
    api.delete(f"{stage.path}/pods/pod-deleted")
    time.sleep(SECONDS / SPEED + 1)
    yield stage
    api.delete(f"/api/v1/namespaces/{stage.name}")
    registry.close()
    closed.close()


_NONE = Moment(0, "", False, "", 0)


def played_of(stage: Stage, name: str) -> list[Moment]:
    """What was played so far, from where the recording begins."""
    played = distinct(list(stage.seen.get(name, [])))
    if name != "pod-deleted":
        return played
    ready = [moment.ready for moment in played]
    return played[ready.index(True) :] if True in ready else []


@pytest.mark.parametrize("name", PLAYED)
def test_the_player_shows_what_a_kubelet_showed(stage: Stage, cluster: Plane, name: str) -> None:
    recorded = behaviours()[name].until(SECONDS)
    expected = [moment.shown for moment in recorded]
    until(lambda: len(played_of(stage, name)) >= len(expected), what=f"{len(expected)} states")
    played = played_of(stage, name)
    shown = [moment.shown for moment in played]
    assert shown[: len(expected)] == expected
    if isinstance(cluster, ControlPlane):
        return
    for was, now in zip(recorded[1:], played[1:], strict=False):
        # Never too early; a busy machine shows it later.
        assert was.at * 3 / 4 - 2.5 <= now.at <= was.at * 5 / 4 + LATE, f"{was} was played at {now.at:.1f}"


@pytest.mark.parametrize("name", PLAYED)
def test_the_player_posts_a_kubelets_events(stage: Stage, name: str) -> None:
    recorded = {what: at for at, what in behaviours()[name].events if what not in UNSURE}
    expected = {what for what, at in recorded.items() if at <= SECONDS - 4}
    until(lambda: expected <= stage.events_of(name), what=f"{sorted(expected)}")
    played = stage.events_of(name) - UNSURE
    if name == "pod-deleted":  # recorded from its deletion on
        played -= {"Normal Created", "Normal Started"}
    assert played <= recorded.keys()
