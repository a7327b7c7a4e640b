"""The scheduler: which node a pod goes to, or why to none (pkg/scheduler, its filters in short)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import lru_cache

from engine.types import Json
from sandbox.kubernetes.controllers.work import (
    CLAIMS,
    NODES,
    OVER,
    PODS,
    Work,
    at,
    condition,
    dated,
    is_active,
    is_ready,
    labels_of,
)
from sandbox.kubernetes.selectors import selects
from sandbox.kubernetes.store import Stored
from sandbox.kubernetes.subresources import bind

_SOURCE = "default-scheduler"
_CORDONED = "node.kubernetes.io/unschedulable"
_UNITS = {"": 1000, "m": 1}  # in thousandths, to stay with whole numbers
_UNITS |= {unit: 1000 ** (n + 2) for n, unit in enumerate("kMGTPE")}
_UNITS |= {f"{unit}i": 1000 * 1024 ** (n + 1) for n, unit in enumerate("KMGTPE")}


def schedule(work: Work, stored: Stored) -> None:
    """One look at a pod: if it waits for a node, it gets one."""
    pod, spec = stored.body, stored.body["spec"]
    if spec.get("nodeName") or not is_active(pod) or spec.get("schedulerName") != _SOURCE:
        return
    nodes = work.store.all(NODES)
    used = _used(work)
    whys = {n.key[2]: _why_not(spec, n.body, used.get(n.key[2], Counter())) for n in nodes}
    free = [name for name, why in whys.items() if not why]
    claims = _why_not_claims(work, pod)
    if claims or not free:
        counted = sorted(f"{count} {why}" for why, count in Counter(whys.values()).items())
        words = f"0/{len(nodes)} nodes are available: {claims or ', '.join(counted)}."
        _refuse(work, stored, words if nodes else "no nodes available to schedule pods")
        return
    node = min(free, key=lambda name: (used.get(name, Counter())["pods"], name))
    bind(work.operations, *stored.key[1:], node)
    words = f"Successfully assigned {stored.key[1]}/{stored.key[2]} to {node}"
    work.event(pod, "Scheduled", words, source=_SOURCE)


def _refuse(work: Work, stored: Stored, message: str) -> None:
    pod, before = stored.body, condition(stored.body, "PodScheduled")
    if before.get("message") == message:
        return
    others = [c for c in at(pod, "status.conditions") or [] if c is not before]
    entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    status = {
        **(pod.get("status") or {}),
        "conditions": [*others, *dated([before] if before else [], [entry])],
    }
    work.store.put(work.kinds.core("pods"), {**pod, "status": status})
    work.event(pod, "FailedScheduling", message, kind="Warning", source=_SOURCE)


def _why_not_claims(work: Work, pod: Json) -> str:
    """Why the pod's volumes keep it back; "" when they do not."""
    names = [at(volume, "persistentVolumeClaim.claimName") for volume in pod["spec"].get("volumes") or []]
    for name in filter(None, names):
        claim = work.store.get(CLAIMS, pod["metadata"]["namespace"], name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if at(claim.body, "status.phase") != "Bound":
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


# --- a pod and a node ------------------------------------------------------------------------------------------------


def _why_not(spec: Json, node: Json, used: Counter[str]) -> str:
    if why := fits(spec, node):
        return why
    if not is_ready(node):
        return "node(s) had untolerated taint(s) {node.kubernetes.io/not-ready: }"
    free = at(node, "status.allocatable") or {}
    short = [r for r, wanted in _requests(spec).items() if used[r] + wanted > quantity(free.get(r, 0))]
    if short:
        return "Too many pods" if short[0] == "pods" else f"Insufficient {short[0]}"
    return ""


def fits(spec: Json, node: Json) -> str:
    """Why the pod may not be on the node at all; "" when it may."""
    named, required = (
        {"metadata.name": node["metadata"]["name"]},
        "requiredDuringSchedulingIgnoredDuringExecution",
    )
    terms = at(spec, f"affinity.nodeAffinity.{required}.nodeSelectorTerms") or [{}]
    chosen = selects({"matchLabels": spec.get("nodeSelector")}, labels_of(node)) and any(
        selects({"matchExpressions": term.get("matchExpressions")}, labels_of(node))
        and selects({"matchExpressions": term.get("matchFields")}, named)
        for term in terms
    )
    if not chosen:
        return "node(s) didn't match Pod's node affinity/selector"
    taints = at(node, "spec.taints") or []
    if at(node, "spec.unschedulable"):
        taints = [*taints, {"key": _CORDONED, "effect": "NoSchedule"}]
    for taint in taints:
        if taint["effect"] != "PreferNoSchedule" and not _is_tolerated(taint, spec):
            if taint["key"] == _CORDONED:
                return "node(s) were unschedulable"
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    return ""


def _is_tolerated(taint: Json, spec: Json) -> bool:
    return any(
        t.get("effect") in (None, "", taint["effect"])
        and t.get("key") in (None, "", taint["key"])
        and (t.get("operator") == "Exists" or t.get("value", "") == taint.get("value", ""))
        for t in spec.get("tolerations") or []
    )


# --- amounts ---------------------------------------------------------------------------------------------------------


def _used(work: Work) -> dict[str, Counter[str]]:
    """What the pods of each node ask for."""
    used: dict[str, Counter[str]] = {}
    for pod in work.store.bodies(PODS):
        node = pod["spec"].get("nodeName")
        if node and (pod.get("status") or {}).get("phase") not in OVER:
            used.setdefault(node, Counter()).update(_requests(pod["spec"]))
    return used


def _requests(spec: Json) -> Counter[str]:
    """A place, and the sum over the containers."""
    total = Counter({"pods": quantity(1)})
    for container in spec["containers"]:
        for resource, amount in (at(container, "resources.requests") or {}).items():
            total[resource] += quantity(amount)
    return total


@lru_cache(maxsize=4096)
def quantity(amount: object) -> int:
    """A Quantity such as `250m` or `1Gi`, in thousandths."""
    text = str(amount)
    unit = text.lstrip("+-.0123456789")
    if unit in _UNITS:
        return int(Decimal(text.removesuffix(unit)) * _UNITS[unit])
    return int(Decimal(text) * 1000)  # 1e3
