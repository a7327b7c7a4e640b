"""What single kinds need beyond defaults: addresses of services, the life of namespaces, definitions, pods.

The counterpart of the real server's registry strategies (PrepareForCreate, PrepareForUpdate, graceful deletion).
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.store import Store

_ADDRESSES = ipaddress.ip_network("10.96.0.0/16")
_NODE_PORTS = range(30000, 32768)
_LOAD_BALANCED = ("Service", "Ingress")
_KEPT_OF_SERVICE = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def admit_new(body: Json, kind: Kind, store: Store) -> None:
    """Completes a new object in place."""
    if kind.has_status and not kind.custom:
        body.setdefault("status", {"loadBalancer": {}} if kind.kind in _LOAD_BALANCED else {})
    if kind.group == "" and kind.kind == "Namespace":
        body["spec"] = {"finalizers": ["kubernetes"]}
        body["status"] = {"phase": "Active"}
        labels = body["metadata"].get("labels") or {}
        body["metadata"]["labels"] = {
            **labels,
            "kubernetes.io/metadata.name": body["metadata"].get("name", ""),
        }
    elif kind.group == "" and kind.kind == "Pod":
        body["status"] = {"phase": "Pending", "qosClass": _quality(body["spec"])}
    elif kind.group == "" and kind.kind == "Service":
        _give_addresses(body, {}, store)
    elif kind.kind == "CustomResourceDefinition":
        body["status"] = {"storedVersions": [v["name"] for v in body["spec"]["versions"] if v.get("storage")]}
        body["metadata"].setdefault("finalizers", []).append(CLEANUP)
    elif kind.group == "batch" and kind.kind == "Job":
        _label_job(body)


def admit_change(new: Json, old: Json, kind: Kind, store: Store) -> None:
    """Completes a changed object in place with what stays as it was unless it is said."""
    if kind.group == "" and kind.kind == "Service":
        _give_addresses(new, old.get("spec") or {}, store)
    elif kind.group == "" and kind.kind == "Namespace":
        new.setdefault("spec", old.get("spec") or {})
    elif kind.group == "" and kind.kind == "Pod":
        for field in ("nodeName", "serviceAccountName", "serviceAccount"):
            if field in old["spec"]:
                new["spec"].setdefault(field, old["spec"][field])
    elif kind.group == "batch" and kind.kind == "Job":
        _keep_job_labels(new, old)


def is_new_generation(new: Json, old: Json, kind: Kind) -> bool:
    """Whether the change counts: everything but metadata and status, and a Deployment's annotations."""
    if kind.kind == "Deployment" and new["metadata"].get("annotations") != old["metadata"].get("annotations"):
        return True
    names = {*new, *old} - {"metadata", "status", "apiVersion", "kind"}
    if kind.kind == "Pod":
        return any(_without_node(new.get(n)) != _without_node(old.get(n)) for n in names)
    if kind.custom and not kind.has_status:
        names |= {"status"} & {*new, *old}
    return any(new.get(name) != old.get(name) for name in names)


def _without_node(value: object) -> object:
    return {k: v for k, v in value.items() if k != "nodeName"} if isinstance(value, dict) else value


def finalizers_of_deletion(kind: Kind, found: list[str], propagation: str) -> list[str]:
    """The finalizers that an object has from its deletion on."""
    if not propagation and (kind.group, kind.kind) == ("batch", "Job"):
        propagation = "Orphan"  # the default of batch/v1, for back compatibility
    kept = [f for f in found if f not in ("foregroundDeletion", "orphan") or not propagation]
    wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
    return [*kept, wanted] if wanted else kept


def grace_of_deletion(kind: Kind, body: Json, asked: int | None) -> int:
    """Seconds that a pod has to end; 0 for everything else, and for pods that do not run."""
    if kind.group or kind.kind != "Pod" or not body["spec"].get("nodeName"):
        return 0
    if (body.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    default = body["spec"].get("terminationGracePeriodSeconds", 30)
    return int(default if asked is None else max(asked, 0))


def _quality(spec: Json) -> str:
    """Guaranteed, Burstable or BestEffort."""
    asked = [
        c.get("resources") or {}
        for c in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    ]
    if not any(r.get("requests") or r.get("limits") for r in asked):
        return "BestEffort"
    whole = all(
        {"cpu", "memory"} <= {*(r.get("limits") or {})} and r["limits"] == r.get("requests") for r in asked
    )
    return "Guaranteed" if whole else "Burstable"


def _give_addresses(body: Json, before: Json, store: Store) -> None:
    """A cluster address and node ports: those it had, or free ones."""
    spec = body["spec"]
    if spec.get("type") == "ExternalName":
        for name in _KEPT_OF_SERVICE:
            spec.pop(name, None)
        return
    for name in _KEPT_OF_SERVICE:
        if before.get(name) and not spec.get(name):
            spec[name] = before[name]
    if not spec.get("clusterIP"):
        spec["clusterIP"] = _free_address(store)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        _give_ports(spec, before, store)


def _give_ports(spec: Json, before: Json, store: Store) -> None:
    had = {(p.get("name"), p["port"]): p.get("nodePort") for p in before.get("ports") or []}
    taken = {p.get("nodePort") for s in _services(store) for p in s["spec"].get("ports") or []}
    for port in spec.get("ports") or []:
        if not port.get("nodePort"):
            free = had.get((port.get("name"), port["port"]))
            port["nodePort"] = free or random.choice([n for n in _NODE_PORTS if n not in taken])
            taken.add(port["nodePort"])


def _free_address(store: Store) -> str:
    taken = {s["spec"].get("clusterIP") for s in _services(store)}
    while True:
        address = str(_ADDRESSES[random.randrange(256, _ADDRESSES.num_addresses - 1)])
        if address not in taken:
            return address


def _services(store: Store) -> Iterator[Json]:
    return iter(store.bodies(("", "services")))


def _label_job(body: Json) -> None:
    """The selector and labels by which a Job knows its pods."""
    spec = body["spec"]
    if spec.get("manualSelector"):
        return
    name, identity = body["metadata"].get("name", ""), body["metadata"]["uid"]
    labels = {
        "batch.kubernetes.io/controller-uid": identity,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": identity,
        "job-name": name,
    }
    metadata = spec["template"].setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": identity}}


def _keep_job_labels(new: Json, old: Json) -> None:
    """An update that does not say the generated selector keeps it."""
    if new["spec"].get("selector") is None:
        new["spec"]["selector"] = old["spec"].get("selector")
    labels = new["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
    for name, value in ((old["spec"]["template"].get("metadata") or {}).get("labels") or {}).items():
        if name.endswith(("controller-uid", "job-name")):
            labels.setdefault(name, value)
