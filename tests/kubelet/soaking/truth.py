"""What is true on the cluster, measured beside the product: the pods as the API shows them, and what they answer.

Nothing of the engine is used here but the connection.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.client import ApiError
from tests.kubelet.conftest import PORT
from tests.kubelet.soaking.shop import SERVING

Json = dict[str, Any]
EVERY = 0.25  # seconds between two looks


@dataclass(frozen=True)
class Pod:
    """A pod at one moment. `ends`: how often its containers have ended; `version`, `mode`: of its specification."""

    name: str
    uid: str
    app: str
    version: str
    mode: str
    image: str
    address: str
    phase: str
    ready: bool
    leaving: bool
    ends: int
    states: str

    @property
    def shown(self) -> str:
        words = "ready" if self.ready else self.phase
        leaving = " leaving" if self.leaving else ""
        version = f"v{self.version} {self.mode}".strip()
        return f"{self.name} {version}: {words}{leaving}, {self.ends} ends, {self.states}"


def pod_of(body: Json) -> Pod:
    spec, status, metadata = body["spec"], body.get("status") or {}, body["metadata"]
    main = spec["containers"][0]
    env = {one["name"]: one.get("value", "") for one in main.get("env") or []}
    statuses = status.get("containerStatuses") or []
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
    states = [f"{next(iter(c['state']), '')} {_reason(c)}".strip() for c in statuses if c.get("state")]
    return Pod(
        metadata["name"],
        metadata["uid"],
        (metadata.get("labels") or {}).get("app", ""),
        env.get("VERSION", ""),
        env.get("MODE", ""),
        main["image"],
        status.get("podIP") or "",
        status.get("phase", ""),
        conditions.get("Ready") == "True",
        bool(metadata.get("deletionTimestamp")),
        sum(c["restartCount"] + ("terminated" in (c.get("state") or {})) for c in statuses),
        ", ".join(states),
    )


def _reason(container: Json) -> str:
    return next(iter(container["state"].values())).get("reason", "")


@dataclass(frozen=True)
class Lost:
    """A request that failed. When it was sent (`at`), its pod had been ready for `age` seconds."""

    at: float
    app: str
    address: str
    error: str
    age: float
    uid: str


@dataclass
class Truth:
    """Looks at the pods of a namespace and sends requests to those that a Service names, until it is left."""

    client: KubernetesClient
    namespace: str
    pods: dict[str, Pod] = field(default_factory=dict)  # by uid, those that are there now
    ready_since: dict[str, float] = field(default_factory=dict)  # by uid
    stayed: dict[str, float] = field(default_factory=dict)  # by uid, when it was last seen not on its way out
    timeline: list[tuple[float, str]] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    known: dict[str, Pod] = field(default_factory=dict)  # by address, the last one that had it
    looks: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Truth:
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._watch, self._ask)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def of(self, app: str) -> list[Pod]:
        """Pods of a workload that are not on their way out."""
        return [pod for pod in list(self.pods.values()) if pod.app == app and not pod.leaving]

    def delete(self, pod: str) -> None:
        """Deletes a pod, as a person does."""
        self.client.request("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{pod}")
        self.note(f"a person deletes {pod}")

    def look_again(self) -> None:
        """Waits until the pods have been read once from now on."""
        goal, until = self.looks + 2, time.monotonic() + 30
        while self.looks < goal and time.monotonic() < until:
            time.sleep(0.05)

    def since(self, began: float) -> list[str]:
        """The timeline from a moment on."""
        return [f"{at - began:7.1f}  {text}" for at, text in self.timeline if at >= began]

    def note(self, text: str) -> None:
        self.timeline.append((time.monotonic(), text))

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            try:
                items = self.client.request("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
            except ApiError as error:
                self.note(f"the cluster does not answer: {error}")
                continue
            self._compare({pod.uid: pod for pod in map(pod_of, items)})
            self.looks += 1

    def _compare(self, seen: dict[str, Pod]) -> None:
        now = time.monotonic()
        for uid, pod in seen.items():
            before = self.pods.get(uid)
            if before != pod and pod.app:
                self.note(pod.shown)
            if not pod.ready or (before and before.ends != pod.ends):
                self.ready_since.pop(uid, None)
            if pod.ready:
                self.ready_since.setdefault(uid, now)
            if not pod.leaving:
                self.stayed[uid] = now
            if pod.address:
                self.known[pod.address] = pod
        for uid in self.pods.keys() - seen.keys():
            if self.pods[uid].app:
                self.note(f"{self.pods[uid].name}: gone")
        self.pods = seen

    def _ask(self) -> None:
        turn = 0
        while not self._over.wait(0.15):
            turn += 1
            for app in SERVING:
                try:
                    ends = sorted(self._ends(app))
                except ApiError:
                    continue
                if ends:
                    self._send(app, ends[turn % len(ends)])

    def _ends(self, app: str) -> Iterable[str]:
        """The addresses to which the Service would send."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        query = {"labelSelector": f"kubernetes.io/service-name={app}"}
        for one in self.client.request("GET", path, query=query)["items"]:
            for end in one.get("endpoints") or []:
                if end["conditions"].get("ready"):
                    yield end["addresses"][0]

    def _send(self, app: str, address: str) -> None:
        sent = time.monotonic()
        try:
            answer(address)
            self.answered[app] = self.answered.get(app, 0) + 1
        except OSError as error:
            uid = pod.uid if (pod := self.known.get(address)) else ""
            age = sent - self.ready_since.get(uid, sent)
            self.lost.append(Lost(sent, app, address, str(error), age, uid))
            self.note(f"request to {app} at {address} lost: {error}")


def answer(address: str) -> str:
    """What a pod answers. Raises OSError."""
    with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=4) as reply:
        return str(reply.read().decode().strip())
