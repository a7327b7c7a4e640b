"""ReplicaSets: as many pods as wanted (pkg/controller/replicaset)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.controllers.work import (
    PODS,
    Work,
    count_available,
    is_active,
    is_going,
    is_ready,
    merged_conditions,
    reference,
)
from sandbox.kubernetes.operations import made_up
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import selects
from sandbox.kubernetes.store import Stored

_SOURCE = "replicaset-controller"


def reconcile(work: Work, stored: Stored) -> None:
    """One look at a ReplicaSet."""
    owner = stored.body
    if is_going(owner):
        return
    adopt(work, stored)
    pods = [p for p in work.controlled(owner) if is_active(p.body)]
    wanted = owner["spec"]["replicas"]
    failure: Json | None = None
    for _ in range(wanted - len(pods)):
        try:
            pods.append(_add(work, owner))
        except Refused as refusal:
            failure = _failed(work, owner, refusal)
            work.ask_in(stored.key, 5.0)
            break
    if len(pods) > wanted:
        for pod in sorted(pods, key=_rank)[: len(pods) - wanted]:
            work.delete(pod)
            words = f"Deleted pod: {pod.key[2]}"
            work.event(owner, "Normal", "SuccessfulDelete", words, _SOURCE)
    _report(work, stored, failure)


def _add(work: Work, owner: Json) -> Stored:
    name = owner["metadata"]["name"]
    metadata = {"generateName": f"{name}-", "name": f"{name[:240]}-{made_up(5)}"}
    pod = work.create_pod(owner, owner["spec"]["template"], metadata)
    work.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {pod.key[2]}", _SOURCE)
    return pod


def _rank(stored: Stored) -> tuple[bool, bool, int]:
    """Who goes first: those without a node, those that are not ready, the youngest."""
    pod = stored.body
    return bool(pod["spec"].get("nodeName")), is_ready(pod), -stored.version


def _failed(work: Work, owner: Json, refusal: Refused) -> Json:
    words = f"Error creating: {refusal.message}"
    work.event(owner, "Warning", "FailedCreate", words, _SOURCE)
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal.message}


def _report(work: Work, stored: Stored, failure: Json | None) -> None:
    current = work.store.get(*stored.key)
    if current is None:
        return
    body = current.body
    all_pods = [p.body for p in work.controlled(body)]
    pods = [p for p in all_pods if is_active(p)]
    labels = body["spec"]["template"]["metadata"].get("labels") or {}
    old = (body.get("status") or {}).get("conditions") or []
    work.set_status(
        current,
        {
            "replicas": len(pods),
            "fullyLabeledReplicas": sum(
                labels.items() <= (p["metadata"].get("labels") or {}).items() for p in pods
            ),
            "readyReplicas": sum(is_ready(p) for p in pods),
            "availableReplicas": count_available(
                work, stored.key, pods, body["spec"].get("minReadySeconds", 0)
            ),
            "terminatingReplicas": sum(is_going(p) for p in all_pods),
            "observedGeneration": body["metadata"]["generation"],
            "conditions": merged_conditions(old, [failure] if failure else []),
        },
    )


def adopt(work: Work, stored: Stored, kind: tuple[str, str] = PODS) -> None:
    """Takes over objects without a controller that the selector selects, as `delete --cascade=orphan` leaves them."""
    body = stored.body
    for orphan in list(work.store.orphans(kind, stored.key[1])):
        labels = orphan.body["metadata"].get("labels") or {}
        if not is_going(orphan.body) and selects(body["spec"].get("selector"), labels):
            owners = [*(orphan.body["metadata"].get("ownerReferences") or []), reference(body)]
            metadata = {**orphan.body["metadata"], "ownerReferences": owners}
            work.store.put(work.kinds.get(*kind), {**orphan.body, "metadata": metadata})
