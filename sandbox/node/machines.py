"""The Node objects: registered, kept alive by leases, with the address where their kubelet serves logs."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed
from sandbox.node.clock import micro_stamp, stamp

_LEASE_SECONDS = 40
_BEAT_SECONDS = 10.0
_STATUS_EVERY = 30  # beats
_CAPACITY = {"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "200Gi"}
_HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


@dataclass(frozen=True)
class Machine:
    """One played node. `number` counts from 1 and decides its name, zone and pod addresses."""

    number: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def pod_network(self) -> str:
        """The first three parts of its pods' addresses: of a network that nobody routes (RFC 2544), so that nothing
        real is reached when somebody dials a pod."""
        return f"198.18.{self.number}"

    def body(self) -> Json:
        """The Node object without its status."""
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": "played",
            "topology.kubernetes.io/region": "sandbox",
            "topology.kubernetes.io/zone": f"sandbox-{'abc'[(self.number - 1) % 3]}",
        }
        cidr = f"{self.pod_network}.0/24"
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        }

    def status(self, version: str, port: int, since: str) -> Json:
        """What its kubelet reports. `version` is the API server's, `port` that of the log server, `since` its start."""
        conditions = [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": stamp(),
                "lastTransitionTime": since,
            }
            for kind, (status, reason, message) in _HEALTHY.items()
        ]
        return {
            "capacity": _CAPACITY,
            "allocatable": _CAPACITY,
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": self.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": self._info(version),
        }

    def _info(self, version: str) -> Json:
        identity = f"{self.number:032x}"
        return {
            "kubeletVersion": version,
            "kubeProxyVersion": "",
            "containerRuntimeVersion": "played://1.0",
            "osImage": "Slipway sandbox (played)",
            "kernelVersion": "played",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "machineID": identity,
            "systemUUID": identity,
            "bootID": identity,
        }


def keep_alive(api: Api, machines: list[Machine], port: int) -> None:
    """Renews the nodes' leases for ever; what fails is tried again at the next beat. Never returns.

    A node that somebody deleted, or that a new API server does not know, is registered again; so is one that is taken for lost
    because the API server heard nothing for a while. A kubelet does the same.
    """
    since, beat, told = stamp(), 1, ""
    while True:
        time.sleep(_BEAT_SECONDS)
        try:
            for machine in machines:
                if beat % _STATUS_EVERY == 0 or not _is_ready(api.find(f"/api/v1/nodes/{machine.name}")):
                    register(api, [machine], port, since)
                else:
                    _renew_lease(api, machine.name)
            told = ""
        except ApiFailed as error:
            if error.message != told:
                print(f"no heartbeat: {error.message}", file=sys.stderr, flush=True)
            told = error.message
        beat += 1


def _is_ready(node: Json | None) -> bool:
    conditions = node["status"].get("conditions") or [] if node else []
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def register(api: Api, machines: list[Machine], port: int, since: str = "") -> None:
    """Makes the nodes exist and ready, whatever state an earlier run left them in. Raises ApiFailed."""
    version = str(api.get("/version").get("gitVersion", "v1.37.0"))
    for machine in machines:
        path = f"/api/v1/nodes/{machine.name}"
        if api.find(path) is None:
            api.create("/api/v1/nodes", machine.body())
        api.merge(f"{path}/status", {"status": machine.status(version, port, since or stamp())})
        _renew_lease(api, machine.name)


def _renew_lease(api: Api, name: str) -> None:
    """Raises ApiFailed."""
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    spec = {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": micro_stamp()}
    try:
        api.merge(f"{leases}/{name}", {"spec": spec})
    except ApiFailed as error:
        if error.status != 404:
            raise
        _first_lease(api, leases, {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec})


def _first_lease(api: Api, leases: str, body: Json) -> None:
    try:
        api.create(leases, body)
    except ApiFailed as error:
        if error.status not in (404, 409):  # a young cluster makes the namespace a moment later
            raise
