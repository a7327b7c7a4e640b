"""Values that single kinds get beyond defaults: services, namespaces, definitions, pods.

The counterpart of the real server's registry strategies (PrepareForCreate, PrepareForUpdate, graceful deletion).
"""

from __future__ import annotations

import ipaddress
import random

from engine.types import Json
from sandbox.kubernetes import refusals
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.store import Store

_ADDRESSES = ipaddress.ip_network("10.96.0.0/16")
_NODE_PORTS = range(30000, 32768)
_NOT_IN_RANGE = "provided port is not in the valid range. The range of valid ports is 30000-32767"
_ADDRESS_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def admit_new(body: Json, kind: Kind, store: Store, *, dry_run: bool) -> None:
    """Completes a new object in place."""
    metadata = body["metadata"]
    if kind.has_status and not kind.custom:
        body.setdefault("status", {"loadBalancer": {}} if kind.kind in ("Service", "Ingress") else {})
    match kind.group, kind.kind:
        case "", "Namespace":
            body |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        case "", "Pod":
            body["status"] = {"phase": "Pending", "qosClass": _quality(body["spec"])}
        case "", "Service":
            _refuse_addresses(body, {}, store, dry_run=dry_run)
            _give_addresses(body["spec"], {}, store)
        case "batch", "Job":
            _label_job(body["spec"], metadata)
        case "apiextensions.k8s.io", "CustomResourceDefinition":
            versions = (body.get("spec") or {}).get("versions") or []
            body["status"] = {"storedVersions": [v.get("name") for v in versions if v.get("storage")]}
            metadata.setdefault("finalizers", []).append(CLEANUP)


def admit_change(new: Json, old: Json, kind: Kind, store: Store, *, dry_run: bool) -> None:
    """Completes a changed object in place: some fields keep their old values unless the change sets them."""
    match kind.group, kind.kind:
        case "", "Namespace":
            new.setdefault("spec", old.get("spec") or {})
        case "", "Pod":
            _keep(new["spec"], old["spec"], "nodeName", "serviceAccountName", "serviceAccount")
        case "", "Service":
            _refuse_addresses(new, old.get("spec") or {}, store, dry_run=dry_run)
            _give_addresses(new["spec"], old.get("spec") or {}, store)
        case "batch", "Job":
            _keep(new["spec"], old["spec"], "selector")
            before = (old["spec"]["template"].get("metadata") or {}).get("labels") or {}
            generated = [name for name in before if name.endswith(("controller-uid", "job-name"))]
            _keep(_labels_of_pods(new["spec"]), before, *generated)


def _keep(new: Json, old: Json, *names: str) -> None:
    """Fields without a value keep their old one."""
    for name in names:
        if old.get(name) and not new.get(name):
            new[name] = old[name]


def is_new_generation(new: Json, old: Json, kind: Kind) -> bool:
    """Whether the change counts: everything but metadata and status, and a Deployment's annotations."""
    if kind.kind == "Deployment" and new["metadata"].get("annotations") != old["metadata"].get("annotations"):
        return True
    ignored = {"metadata", "apiVersion", "kind", *({"status"} if kind.has_status or not kind.custom else ())}
    return any(new.get(name) != old.get(name) for name in {*new, *old} - ignored)


def finalizers_of_deletion(kind: Kind, found: list[str], propagation: str) -> list[str]:
    """The finalizers that an object has from its deletion on."""
    if not propagation and (kind.group, kind.kind) == ("batch", "Job"):
        propagation = "Orphan"  # the default of batch/v1, for back compatibility
    if not propagation:
        return found
    wanted = {"Foreground": ["foregroundDeletion"], "Orphan": ["orphan"]}.get(propagation, [])
    return [f for f in found if f not in ("foregroundDeletion", "orphan")] + wanted


def grace_of_deletion(kind: Kind, body: Json, asked: int | None) -> int:
    """Seconds that a pod has to end; 0 for everything else, and for pods that do not run."""
    if kind.key != ("", "pods") or not body["spec"].get("nodeName"):
        return 0
    if (body.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    return int(body["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else max(asked, 0))


def _quality(spec: Json) -> str:
    """Guaranteed, Burstable or BestEffort."""
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    asked = [container.get("resources") or {} for container in containers]
    if not any(r.get("requests") or r.get("limits") for r in asked):
        return "BestEffort"
    whole = all({"cpu", "memory"} <= (r.get("limits") or {}).keys() for r in asked)
    return "Guaranteed" if whole and all(r["limits"] == r.get("requests") for r in asked) else "Burstable"


def _give_addresses(spec: Json, before: Json, store: Store) -> None:
    """A cluster address and node ports: those it had, or free ones."""
    if spec.get("type") == "ExternalName":
        for name in _ADDRESS_FIELDS:
            spec.pop(name, None)
        return
    services = [body["spec"] for body in store.bodies(("", "services"))]
    _keep(spec, before, *_ADDRESS_FIELDS)
    while not spec.get("clusterIP"):
        address = str(_ADDRESSES[random.randrange(256, _ADDRESSES.num_addresses - 1)])
        spec["clusterIP"] = address if all(s.get("clusterIP") != address for s in services) else ""
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        _give_ports(spec, before, services)


def _refuse_addresses(body: Json, before: Json, store: Store, *, dry_run: bool) -> None:
    """Raises Refused (422) for an address out of the cluster's range, and for node ports that are taken or out of theirs
    (which a dry run does not see, as on the real server)."""
    spec, name = body["spec"], body["metadata"].get("name", "")
    address = spec.get("clusterIP")
    if address not in (None, "", "None", before.get("clusterIP")) and not _is_ours(address):
        why = f"failed to allocate IP {address}: the provided network does not match the current range"
        cause = refusals.invalid_value("spec.clusterIPs", [address], why)
        raise refusals.invalid("Service", "", name, [cause])
    others = store.bodies(("", "services"))
    is_new = address not in (None, "", "None", before.get("clusterIP"))
    if is_new and not dry_run and any(other["spec"].get("clusterIP") == address for other in others):
        why = f"failed to allocate IP {address}: provided IP is already allocated"
        raise refusals.invalid(
            "Service", "", name, [refusals.invalid_value("spec.clusterIPs", [address], why)]
        )
    health = spec.get("healthCheckNodePort")
    if health and health not in _NODE_PORTS and not dry_run:
        words = f"failed to allocate requested HealthCheck NodePort {health}: {_NOT_IN_RANGE}"
        causes = {"causes": [{"message": words}]}
        raise refusals.Refused(500, "InternalError", f"Internal error occurred: {words}", causes)
    own = {port.get("nodePort") for port in before.get("ports") or []}
    taken = {p.get("nodePort") for s in others for p in s["spec"].get("ports") or []} - own
    for index, port in enumerate(spec.get("ports") or []):
        field, number = f"spec.ports[{index}].nodePort", port.get("nodePort")
        if number and number not in _NODE_PORTS and not dry_run:
            cause = refusals.invalid_value(field, number, _NOT_IN_RANGE)
            raise refusals.invalid("Service", "", name, [cause])
        if number and number in taken:
            words = "provided port is already allocated"
            raise refusals.invalid("Service", "", name, [refusals.invalid_value(field, number, words)])


def _is_ours(address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in _ADDRESSES
    except ValueError:
        return False


def _give_ports(spec: Json, before: Json, services: list[Json]) -> None:
    had = {(p.get("name"), p["port"]): p.get("nodePort") for p in before.get("ports") or []}
    free = {*_NODE_PORTS} - {p.get("nodePort") for s in services for p in s.get("ports") or []}
    for port in spec.get("ports") or []:
        if not port.get("nodePort"):
            port["nodePort"] = had.get((port.get("name"), port["port"])) or random.choice([*free])
            free.discard(port["nodePort"])


def _label_job(spec: Json, metadata: Json) -> None:
    """The selector and labels by which a Job knows its pods."""
    if spec.get("manualSelector"):
        return
    uid, name, group = metadata["uid"], metadata.get("name", ""), "batch.kubernetes.io/"
    for prefix in (group, ""):  # the names of today, and those of before
        _labels_of_pods(spec).update({f"{prefix}controller-uid": uid, f"{prefix}job-name": name})
    spec["selector"] = {"matchLabels": {f"{group}controller-uid": uid}}


def _labels_of_pods(spec: Json) -> Json:
    labels: Json = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    return labels
