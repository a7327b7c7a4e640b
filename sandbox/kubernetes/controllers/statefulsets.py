"""StatefulSets: numbered pods, one after the other, each with its claims (pkg/controller/statefulset)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.controllers.work import (
    Work,
    available_in,
    count_available,
    is_going,
    is_ready,
    template_hash,
)
from sandbox.kubernetes.store import Stored, clone

_REVISIONS = ("apps", "controllerrevisions")
_HASH = "controller-revision-hash"
_SOURCE = "statefulset-controller"


def reconcile(work: Work, stored: Stored) -> None:
    """One look at a StatefulSet."""
    owner = stored.body
    if is_going(owner):
        return
    digest = template_hash(owner["spec"]["template"])
    update = f"{owner['metadata']['name']}-{digest}"
    keep_revision(work, owner, update, digest)
    current = (owner.get("status") or {}).get("currentRevision") or update
    _step(work, owner, update, current)
    _report(work, stored, update)


def keep_revision(work: Work, owner: Json, name: str, digest: str) -> int:
    """A ControllerRevision for the present template, the newest of all. Returns its number."""
    found = {s.key[2]: s for s in work.controlled(owner, _REVISIONS)}
    highest = max((s.body["revision"] for n, s in found.items() if n != name), default=0)
    if name in found:
        mine = found[name]
        if mine.body["revision"] <= highest:
            mine = work.change(mine, lambda body: {**body, "revision": highest + 1})
        return int(mine.body["revision"])
    labels = {**(owner["spec"]["template"]["metadata"].get("labels") or {}), _HASH: digest}
    data = {"spec": {"template": {**clone(owner["spec"]["template"]), "$patch": "replace"}}}
    body = {"metadata": {"name": name, "labels": labels}, "data": data, "revision": highest + 1}
    work.create(work.kinds.get(*_REVISIONS), owner, body)
    kept = sorted(found.values(), key=lambda s: s.body["revision"])
    for old in kept[: max(0, len(kept) - owner["spec"].get("revisionHistoryLimit", 10))]:
        work.delete(old)
    return highest + 1


def _ordinal(pod: Json) -> int:
    tail = pod["metadata"]["name"].rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def _pods(work: Work, owner: Json) -> dict[int, Stored]:
    return {_ordinal(p.body): p for p in work.controlled(owner)}


def _revision_of(pod: Json) -> str:
    return (pod["metadata"].get("labels") or {}).get(_HASH, "")


def _step(work: Work, owner: Json, update: str, current: str) -> None:
    """Makes what is missing, removes what is too much, replaces what is old; one at a time unless Parallel."""
    spec = owner["spec"]
    first = (spec.get("ordinals") or {}).get("start", 0)
    wanted = range(first, first + spec["replicas"])
    parallel = spec.get("podManagementPolicy") == "Parallel"
    pods = _pods(work, owner)
    for number in wanted:
        pod = pods.get(number)
        if pod is None:
            old = spec["updateStrategy"]["type"] == "RollingUpdate" and number < first + _partition(spec)
            _add(work, owner, number, current if old else update)
        elif (pod.body.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
            work.delete(pod)
        elif is_ready(pod.body) and available_in(pod.body, spec.get("minReadySeconds", 0)) == 0:
            continue
        if not parallel:
            return  # also for ever, for a pod of an older template that never gets ready
    surplus = sorted((n for n in pods if n not in wanted), reverse=True)
    for number in surplus:
        if not is_going(pods[number].body):
            _remove(work, owner, pods[number])
        if not parallel:
            return
    _roll(work, owner, pods, wanted, update)


def _partition(spec: Json) -> int:
    found: int = (spec["updateStrategy"].get("rollingUpdate") or {}).get("partition", 0)
    return found


def _roll(work: Work, owner: Json, pods: dict[int, Stored], wanted: range, update: str) -> None:
    """Deletes the highest pod of an older template, if all above it are ready."""
    spec = owner["spec"]
    if spec["updateStrategy"]["type"] != "RollingUpdate":
        return
    for number in reversed(wanted[_partition(spec) :]):
        pod = pods.get(number)
        if pod is None or is_going(pod.body):
            return
        if _revision_of(pod.body) != update:
            _remove(work, owner, pod)
            return
        if not is_ready(pod.body):
            return


def _remove(work: Work, owner: Json, pod: Stored) -> None:
    work.delete(pod)
    words = f"delete Pod {pod.key[2]} in StatefulSet {owner['metadata']['name']} successful"
    work.event(owner, "Normal", "SuccessfulDelete", words, _SOURCE)


def _add(work: Work, owner: Json, number: int, revision: str) -> None:
    name = owner["metadata"]["name"]
    template = _template(work, owner, revision)
    labels = {
        _HASH: revision,
        "statefulset.kubernetes.io/pod-name": f"{name}-{number}",
        "apps.kubernetes.io/pod-index": str(number),
    }
    claims = _claims(work, owner, number)
    spec: Json = {"hostname": f"{name}-{number}"}
    if owner["spec"].get("serviceName"):
        spec["subdomain"] = owner["spec"]["serviceName"]
    if claims:
        others = [
            v for v in template["spec"].get("volumes") or [] if v["name"] not in {c["name"] for c in claims}
        ]
        spec["volumes"] = [*others, *claims]
    work.create_pod(owner, template, {"name": f"{name}-{number}", "labels": labels}, spec)
    words = f"create Pod {name}-{number} in StatefulSet {name} successful"
    work.event(owner, "Normal", "SuccessfulCreate", words, _SOURCE)


def _template(work: Work, owner: Json, revision: str) -> Json:
    """The template of a revision; the present one when that revision is forgotten."""
    kept = work.store.get(_REVISIONS, owner["metadata"]["namespace"], revision)
    template = kept.body["data"]["spec"]["template"] if kept else owner["spec"]["template"]
    return {k: v for k, v in template.items() if k != "$patch"}


def _claims(work: Work, owner: Json, number: int) -> list[Json]:
    """Makes the pod's volume claims; returns the volumes for them."""
    kind = work.kinds.core("persistentvolumeclaims")
    namespace, name = owner["metadata"]["namespace"], owner["metadata"]["name"]
    volumes = []
    for template in owner["spec"].get("volumeClaimTemplates") or []:
        short = template["metadata"]["name"]
        claim = f"{short}-{name}-{number}"
        if work.store.get(kind.key, namespace, claim) is None:
            labels = {**(owner["spec"]["selector"].get("matchLabels") or {})}
            body = {"apiVersion": "v1", "kind": kind.kind, "metadata": {"name": claim, "labels": labels}}
            work.operations.create(kind, namespace, {**body, "spec": clone(template["spec"])})
        volumes.append({"name": short, "persistentVolumeClaim": {"claimName": claim}})
    return volumes


def _report(work: Work, stored: Stored, update: str) -> None:
    latest = work.store.get(*stored.key)
    if latest is None:
        return
    spec, old = latest.body["spec"], latest.body.get("status") or {}
    pods = [p.body for p in _pods(work, latest.body).values() if not is_going(p.body)]
    updated = sum(_revision_of(p) == update for p in pods)
    ready = sum(is_ready(p) for p in pods)
    current = old.get("currentRevision") or update
    if updated == spec["replicas"] == ready == len(pods):
        current = update
    status = {
        "observedGeneration": latest.body["metadata"]["generation"],
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": count_available(work, stored.key, pods, spec.get("minReadySeconds", 0)),
        "updatedReplicas": updated,
        "currentReplicas": sum(_revision_of(p) == current for p in pods),
        "currentRevision": current,
        "updateRevision": update,
    }
    work.set_status(latest, status)
