"""DaemonSets: one pod on every node that fits (pkg/controller/daemon)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.controllers.scheduler import NODES, fits
from sandbox.kubernetes.controllers.statefulsets import keep_revision
from sandbox.kubernetes.controllers.work import (
    Work,
    count_available,
    is_active,
    is_going,
    is_ready,
    share,
    template_hash,
)
from sandbox.kubernetes.operations import made_up
from sandbox.kubernetes.store import Stored

_HASH = "controller-revision-hash"
_SOURCE = "daemonset-controller"
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


def reconcile(work: Work, stored: Stored) -> None:
    """One look at a DaemonSet."""
    owner = stored.body
    if is_going(owner):
        return
    digest = template_hash(owner["spec"]["template"])
    keep_revision(work, owner, f"{owner['metadata']['name']}-{digest}", digest)
    nodes = [n.body["metadata"]["name"] for n in work.store.all(NODES) if _wants(owner, n.body)]
    pods = _by_node(work, owner)
    for node in nodes:
        if node not in pods:
            _add(work, owner, node, digest)
    for node, found in pods.items():
        surplus = found[1:] if node in nodes else found
        for pod in surplus:
            if not is_going(pod.body):
                _remove(work, owner, pod)
    _roll(work, owner, _by_node(work, owner), digest, len(nodes))
    _report(work, stored, nodes, digest)


def _wants(owner: Json, node: Json) -> bool:
    """Whether a pod of this set belongs on the node; a node that is cordoned or silent keeps its own."""
    spec = {**owner["spec"]["template"]["spec"], "tolerations": _tolerations(owner)}
    return fits(spec, node) == ""


def _tolerations(owner: Json) -> list[Json]:
    own = owner["spec"]["template"]["spec"].get("tolerations") or []
    more = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
        for key, effect in _TOLERATED
    ]
    return [
        *own,
        *more,
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoSchedule"},
    ]


def _target(pod: Json) -> str:
    """The node that a pod was made for."""
    terms = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in terms.get("nodeSelectorTerms") or []:
        for field in term.get("matchFields") or []:
            return str(field["values"][0])
    return str(pod["spec"].get("nodeName") or "")


def _by_node(work: Work, owner: Json) -> dict[str, list[Stored]]:
    pods: dict[str, list[Stored]] = {}
    for pod in work.controlled(owner):
        if is_active(pod.body) or is_going(pod.body):
            pods.setdefault(_target(pod.body), []).append(pod)
        else:
            work.delete(pod)
    return pods


def _add(work: Work, owner: Json, node: str, digest: str) -> None:
    name = owner["metadata"]["name"]
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    metadata = {"generateName": f"{name}-", "name": f"{name[:240]}-{made_up(5)}", "labels": {_HASH: digest}}
    spec = {"affinity": affinity, "tolerations": _tolerations(owner)}
    pod = work.create_pod(owner, owner["spec"]["template"], metadata, spec)
    work.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {pod.key[2]}", _SOURCE)


def _remove(work: Work, owner: Json, pod: Stored) -> None:
    work.delete(pod)
    work.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.key[2]}", _SOURCE)


def _is_new(pod: Json, digest: str) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(_HASH) == digest)


def _roll(work: Work, owner: Json, pods: dict[str, list[Stored]], digest: str, nodes: int) -> None:
    """Deletes pods of an older template, unready ones first, as far as the budget allows."""
    strategy = owner["spec"]["updateStrategy"]
    if strategy["type"] != "RollingUpdate":
        return
    most = max(1, share((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), nodes, up=True))
    found = [p for of_node in pods.values() for p in of_node]
    missing = sum(not is_ready(p.body) or is_going(p.body) for p in found)
    old = [p for p in found if not _is_new(p.body, digest) and not is_going(p.body)]
    for pod in sorted(old, key=lambda p: is_ready(p.body)):
        if not is_ready(pod.body):
            _remove(work, owner, pod)
        elif missing < most:
            missing += 1
            _remove(work, owner, pod)


def _report(work: Work, stored: Stored, nodes: list[str], digest: str) -> None:
    current = work.store.get(*stored.key)
    if current is None:
        return
    pods = {n: [p.body for p in of if not is_going(p.body)] for n, of in _by_node(work, current.body).items()}
    placed = [of[0] for node, of in pods.items() if node in nodes and of]
    available = count_available(work, stored.key, placed, current.body["spec"].get("minReadySeconds", 0))
    status = {
        "currentNumberScheduled": len(placed),
        "numberMisscheduled": sum(bool(of) for node, of in pods.items() if node not in nodes),
        "desiredNumberScheduled": len(nodes),
        "numberReady": sum(is_ready(p) for p in placed),
        "updatedNumberScheduled": sum(_is_new(p, digest) for p in placed),
        "numberAvailable": available,
        "numberUnavailable": len(nodes) - available,
        "observedGeneration": current.body["metadata"]["generation"],
    }
    always = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    kind = work.kinds.get(*stored.key[0])
    work.operations.set_status(kind, current, {k: v for k, v in status.items() if v or k in always})
