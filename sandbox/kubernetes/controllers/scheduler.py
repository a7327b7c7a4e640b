"""The scheduler: chooses a node for each pod, or reports why none fits (pkg/scheduler, its filters in short)."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from functools import lru_cache

from engine.types import Json
from sandbox.kubernetes.controllers import keys
from sandbox.kubernetes.controllers.bodies import dated, is_going, is_over, is_ready, labels_of
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.selectors import selects, value_at
from sandbox.kubernetes.store import Stored
from sandbox.kubernetes.subresources import bind

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_SOURCE = "default-scheduler"
_CORDONED = "node.kubernetes.io/unschedulable"
_UNITS = {"": 1000, "m": 1}  # in thousandths, to stay with whole numbers
_UNITS |= {unit: 1000 ** (n + 2) for n, unit in enumerate("kMGTPE")}
_UNITS |= {f"{unit}i": 1000 * 1024 ** (n + 1) for n, unit in enumerate("KMGTPE")}


def schedule(work: Work, stored: Stored) -> None:
    """One look at a pod: if it waits for a node, it gets one."""
    pod, spec = stored.body, stored.body["spec"]
    if spec.get("nodeName") or is_going(pod) or is_over(pod) or spec.get("schedulerName") != _SOURCE:
        return
    used, nodes = _used(work), work.store.all(keys.NODES)
    whys = {n.key[2]: _why_not(work, pod, n.body, used[n.key[2]]) for n in nodes}
    if free := [name for name, why in whys.items() if not why]:
        node = min(free, key=lambda name: (used[name]["pods"], name))
        bind(work.operations, *stored.key[1:], node)
        words = f"Successfully assigned {stored.key[1]}/{stored.key[2]} to {node}"
        work.event(pod, "Scheduled", words, source=_SOURCE)
        return
    counted = sorted(f"{count} {why}" for why, count in Counter(whys.values()).items())
    words = f"0/{len(nodes)} nodes are available: {', '.join(counted)}."
    words = words if nodes else "no nodes available to schedule pods"
    old = value_at(pod, "status.conditions") or []
    if not any(c.get("message") == words for c in old):
        entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
        conditions = [*(c for c in old if c["type"] != "PodScheduled"), *dated(pod, [entry])]
        status = {**pod["status"], "conditions": conditions}
        work.store.put(work.kinds.core("pods"), {**pod, "status": status})
        work.event(pod, "FailedScheduling", words, kind="Warning", source=_SOURCE)


# --- a pod and a node ------------------------------------------------------------------------------------------------


def _why_not(work: Work, pod: Json, node: Json, used: Counter[str]) -> str:
    """Why the pod may not be on the node now; "" when it may."""
    if why := fits(pod["spec"], node):
        return why
    if not is_ready(node):
        return "node(s) had untolerated taint(s) {node.kubernetes.io/not-ready: }"
    free = value_at(node, "status.allocatable") or {}
    for resource, wanted in _requests(pod["spec"]).items():
        if used[resource] + wanted > quantity(free.get(resource, 0)):
            return "Too many pods" if resource == "pods" else f"Insufficient {resource}"
    for volume in pod["spec"].get("volumes") or []:
        if name := value_at(volume, "persistentVolumeClaim.claimName"):
            claim = work.store.get(keys.CLAIMS, pod["metadata"]["namespace"], name)
            if claim is None or value_at(claim.body, "status.phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def fits(spec: Json, node: Json) -> str:
    """Why a pod may not be on the node at all; "" when it may."""
    named = {"metadata.name": node["metadata"]["name"]}
    terms = value_at(spec, f"affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms") or [{}]
    if not selects({"matchLabels": spec.get("nodeSelector")}, labels_of(node)) or not any(
        selects({"matchExpressions": term.get("matchExpressions")}, labels_of(node))
        and selects({"matchExpressions": term.get("matchFields")}, named)
        for term in terms
    ):
        return "node(s) didn't match Pod's node affinity/selector"
    cordon = [{"key": _CORDONED, "effect": "NoSchedule"}] if value_at(node, "spec.unschedulable") else []
    for taint in [*(value_at(node, "spec.taints") or []), *cordon]:
        tolerated = any(_tolerates(t, taint) for t in spec.get("tolerations") or [])
        if not tolerated and taint["effect"] != "PreferNoSchedule":
            if taint["key"] == _CORDONED:
                return "node(s) were unschedulable"
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    return ""


def _tolerates(toleration: Json, taint: Json) -> bool:
    same = all(toleration.get(field) in (None, "", taint[field]) for field in ("key", "effect"))
    equal = toleration.get("value", "") == taint.get("value", "")
    return same and (equal or toleration.get("operator") == "Exists")


# --- amounts ---------------------------------------------------------------------------------------------------------


def _used(work: Work) -> dict[str, Counter[str]]:
    """The sum of the requests of each node's pods."""
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in work.store.bodies(keys.PODS):
        if (node := pod["spec"].get("nodeName")) and not is_over(pod):
            used[node].update(_requests(pod["spec"]))
    return used


def _requests(spec: Json) -> Counter[str]:
    """A place, and the sum over the containers."""
    total = Counter({"pods": quantity(1)})
    for container in spec["containers"]:
        for resource, amount in (value_at(container, "resources.requests") or {}).items():
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
