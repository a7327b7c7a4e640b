"""The kubelets of all played nodes: which pods there are, and that each lives its life."""

from __future__ import annotations

import itertools
from collections.abc import Collection

from engine.types import Json
from sandbox.node.attendant import Tools
from sandbox.node.loop import Life
from sandbox.node.machines import Machine
from sandbox.node.pod_life import PodLife
from sandbox.node.pods import Pod


class Kubelet:
    """Told of every pod of the cluster by one thread (`follow.py`); cares for those on its nodes."""

    def __init__(self, machines: Collection[Machine], tools: Tools) -> None:
        self._machines = {m.name: m for m in machines}
        self._tools = tools
        self._pods: dict[str, Pod] = {}

    def seen(self, body: Json) -> None:
        """A pod as it is now: a new one begins to live, one that is to go begins to end."""
        if body["spec"].get("nodeName") not in self._machines:
            return
        pod = self._pods.get(body["metadata"]["uid"])
        if pod is None:
            pod = Pod(body)
            address = pod.ip or self._address(pod)
            self._pods[pod.uid] = pod
            if not _deleted(body):
                life = PodLife(pod, self._tools)
                self._live(pod, life.remember() if pod.finished else life.begin(address))
        pod.latest = body
        if _deleted(body) and not pod.leaving:
            pod.leaving = True
            self._live(pod, PodLife(pod, self._tools).end())
        elif pod.is_contradicted():
            pod.forget_sent()
            self._tools.loop.start(f"{pod.uid}/again", PodLife(pod, self._tools).report(), pod.lock)

    def gone(self, uid: str) -> None:
        """The pod is no more."""
        if pod := self._pods.pop(uid, None):
            for key in (uid, f"{uid}/again", *(f"{uid}/{c.name}" for c in pod.all_containers)):
                self._tools.loop.stop(key)
            self._tools.logs.forget(uid)

    def find(self, namespace: str, name: str) -> Pod | None:
        """The pod of that name (the youngest, while an older one is ending)."""
        found = [p for p in list(self._pods.values()) if (p.namespace, p.name) == (namespace, name)]
        return found[-1] if found else None

    def _live(self, pod: Pod, life: Life) -> None:
        self._tools.loop.start(pod.uid, life, pod.lock)

    def _address(self, pod: Pod) -> str:
        """A pod address of its node that no other pod has.

        A pod of the host's network would have the node's, which is that of this machine: no endpoint may have that.
        """
        if pod.spec.get("hostNetwork"):
            return ""
        network = self._machines[pod.node].pod_network
        taken = {p.ip for p in self._pods.values()} | {p.planned_ip for p in self._pods.values()}
        pod.planned_ip = next(ip for n in itertools.count(2) if (ip := f"{network}.{n}") not in taken)
        return pod.planned_ip


def _deleted(body: Json) -> bool:
    return bool(body["metadata"].get("deletionTimestamp"))
