"""The scheduler: which node a pod goes to, or why to none (pkg/scheduler, its filters in short)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import lru_cache

from engine.types import Json
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.controllers.work import PODS, Work, condition, is_active, is_going
from sandbox.kubernetes.store import Stored
from sandbox.kubernetes.subresources import bind

NODES = ("", "nodes")
_SOURCE = "default-scheduler"
_UNITS = {
    "m": Decimal("0.001"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}


def reconcile(work: Work, stored: Stored) -> None:
    """One look at a pod: if it waits for a node, it gets one."""
    pod = stored.body
    if pod["spec"].get("nodeName") or not is_active(pod) or pod["spec"].get("schedulerName") != _SOURCE:
        return
    if claim := _unbound_claim(work, pod):
        _refuse(work, stored, claim)
        return
    nodes = work.store.all(NODES)
    used = _used(work)
    whys = Counter(
        why for n in nodes if (why := _why_not(pod["spec"], n.body, used.get(n.key[2], Counter())))
    )
    free = [n.key[2] for n in nodes if not _why_not(pod["spec"], n.body, used.get(n.key[2], Counter()))]
    if not free:
        listed = ", ".join(sorted(f"{count} {why}" for why, count in whys.items()))
        words = (
            f"0/{len(nodes)} nodes are available: {listed}."
            if nodes
            else "no nodes available to schedule pods"
        )
        _refuse(work, stored, words)
        return
    node = min(free, key=lambda name: (used.get(name, Counter())["pods"], name))
    bind(work.operations, *stored.key[1:], node)
    words = f"Successfully assigned {stored.key[1]}/{stored.key[2]} to {node}"
    work.event(pod, "Normal", "Scheduled", words, _SOURCE)


def _refuse(work: Work, stored: Stored, words: str) -> None:
    pod = stored.body
    before = condition(pod, "PodScheduled")
    if before.get("message") == words:
        return
    status = pod.get("status") or {}
    others = [c for c in status.get("conditions") or [] if c["type"] != "PodScheduled"]
    entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    entry["lastTransitionTime"] = before.get("lastTransitionTime") or stamp()
    work.store.put(work.kinds.core("pods"), {**pod, "status": {**status, "conditions": [*others, entry]}})
    work.event(pod, "Warning", "FailedScheduling", words, _SOURCE)


def _unbound_claim(work: Work, pod: Json) -> str:
    """Why the pod's volumes keep it back; "" when they do not."""
    for volume in pod["spec"].get("volumes") or []:
        if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            claim = work.store.get(("", "persistentvolumeclaims"), pod["metadata"]["namespace"], name)
            if claim is None:
                return f'0/{len(work.store.all(NODES))} nodes are available: persistentvolumeclaim "{name}" not found.'
            if (claim.body.get("status") or {}).get("phase") != "Bound":
                count = len(work.store.all(NODES))
                return f"0/{count} nodes are available: pod has unbound immediate PersistentVolumeClaims."
    return ""


def is_node_ready(node: Json) -> bool:
    return condition(node, "Ready").get("status") == "True"


def fits(spec: Json, node: Json) -> str:
    """Why the pod may not be on the node at all; "" when it may."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    if not _matches_affinity(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in [*((node.get("spec") or {}).get("taints") or []), *_cordon(node)]:
        if taint["effect"] != "PreferNoSchedule" and not any(
            _tolerates(t, taint) for t in spec.get("tolerations") or []
        ):
            if taint["key"] == "node.kubernetes.io/unschedulable":
                return "node(s) were unschedulable"
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    return ""


def _cordon(node: Json) -> list[Json]:
    if (node.get("spec") or {}).get("unschedulable"):
        return [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
    return []


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _matches_affinity(spec: Json, node: Json) -> bool:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    if not terms:
        return True
    labels, fields = node["metadata"].get("labels") or {}, {"metadata.name": node["metadata"]["name"]}
    return any(
        all(_expression(e, labels) for e in term.get("matchExpressions") or [])
        and all(_expression(e, fields) for e in term.get("matchFields") or [])
        for term in terms
    )


def _expression(expression: Json, values: dict[str, str]) -> bool:
    value, operator = values.get(expression["key"]), expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    if operator in ("Gt", "Lt"):
        number, bound = int(value or 0), int(expression["values"][0])
        return number > bound if operator == "Gt" else number < bound
    return (value in expression["values"]) is (operator == "In")


def _why_not(spec: Json, node: Json, used: Counter[str]) -> str:
    if why := fits(spec, node):
        return why
    if not is_node_ready(node):
        return "node(s) had untolerated taint(s) {node.kubernetes.io/not-ready: }"
    free = (node.get("status") or {}).get("allocatable") or {}
    if used["pods"] + 1 > int(free.get("pods", 110)):
        return "Too many pods"
    for resource, wanted in _requests(spec).items():
        if used[resource] + wanted > quantity(free.get(resource, 0)):
            return f"Insufficient {resource}"
    return ""


def _used(work: Work) -> dict[str, Counter[str]]:
    """What the pods of each node ask for."""
    used: dict[str, Counter[str]] = {}
    for pod in work.store.bodies(PODS):
        node = pod["spec"].get("nodeName")
        if node and (is_active(pod) or is_going(pod)):
            mine = used.setdefault(node, Counter())
            mine["pods"] += 1
            mine.update(_requests(pod["spec"]))
    return used


def _requests(spec: Json) -> Counter[str]:
    """The sum over the containers; in thousandths, to stay with whole numbers."""
    total: Counter[str] = Counter()
    for container in spec.get("containers") or []:
        for resource, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[resource] += quantity(amount)
    return total


@lru_cache(maxsize=4096)
def quantity(amount: object) -> int:
    """A Quantity such as `250m` or `1Gi`, in thousandths."""
    text = str(amount)
    unit = text.lstrip("+-.0123456789")
    if unit[:1] in ("e", "E"):
        return int(Decimal(text) * 1000)
    return int(Decimal(text[: len(text) - len(unit)]) * _UNITS.get(unit, Decimal(1)) * 1000)


def waiting(work: Work) -> list[Stored]:
    """The pods that have no node yet."""
    return [p for p in work.store.all(PODS) if not p.body["spec"].get("nodeName") and is_active(p.body)]
