"""ReplicaSets, StatefulSets and DaemonSets: some pods, numbered pods, a pod on each node (pkg/controller/…)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.controllers.scheduler import fits
from sandbox.kubernetes.controllers.work import (
    CLAIMS,
    NODES,
    OVER,
    REVISIONS,
    Work,
    at,
    available_in,
    is_active,
    is_going,
    is_ready,
    labels_of,
    share,
    template_hash,
)
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Stored

_HASH = "controller-revision-hash"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = """not-ready:NoExecute unreachable:NoExecute disk-pressure:NoSchedule memory-pressure:NoSchedule
    pid-pressure:NoSchedule unschedulable:NoSchedule unreachable:NoSchedule"""  # by the pods of DaemonSets


def _tolerations() -> list[Json]:
    pairs = [entry.split(":") for entry in _TOLERATED.split()]
    return [{"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": effect} for k, effect in pairs]


# --- ReplicaSets -----------------------------------------------------------------------------------------------------


def replica_set(work: Work, stored: Stored) -> None:
    """One look at a ReplicaSet: as many pods as wanted."""
    owner = stored.body
    everything = work.claimed(stored)
    pods = [p for p in everything if is_active(p.body)]
    surplus = len(pods) - owner["spec"]["replicas"]
    failures: list[Json] = []
    try:
        for _ in range(-surplus):
            work.add_pod(owner)
    except Refused as refusal:
        words = {"reason": "FailedCreate", "message": refusal.message}
        failures = [{"type": "ReplicaFailure", "status": "True", **words}]
        work.ask_in(stored.key, 5.0)
    for pod in sorted(pods, key=_rank)[: max(0, surplus)]:
        work.remove_pod(owner, pod)
    ready, available = work.ready_and_available(stored, [p.body for p in pods])
    status = {
        "replicas": len(pods),
        "fullyLabeledReplicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": available,
        "terminatingReplicas": sum(is_going(p.body) for p in everything),
    }
    work.report(stored, status, *failures)


def _rank(pod: Stored) -> tuple[bool, bool, int]:
    """Who goes first: those without a node, those that are not ready, the youngest."""
    return "nodeName" in pod.body["spec"], is_ready(pod.body), -pod.version


# --- revisions of StatefulSets and DaemonSets ------------------------------------------------------------------------


def _keep_revision(work: Work, owner: Json) -> tuple[str, str]:
    """A ControllerRevision for the present template, the newest of all. Returns its name and the template's hash."""
    template = owner["spec"]["template"]
    digest = template_hash(template)
    name = f"{owner['metadata']['name']}-{digest}"
    others = [s for s in work.controlled(owner, REVISIONS) if s.key[2] != name]
    others.sort(key=lambda s: s.body["revision"])
    number = others[-1].body["revision"] + 1 if others else 1
    mine = work.store.get(REVISIONS, owner["metadata"]["namespace"], name)
    if mine is None:
        labels = {**labels_of(template), _HASH: digest}
        data = {"spec": {"template": {**template, "$patch": "replace"}}}
        body = {"metadata": {"name": name, "labels": labels}, "data": data, "revision": number}
        work.create(REVISIONS, owner, body)
        for old in others[: max(0, len(others) - owner["spec"].get("revisionHistoryLimit", 10))]:
            work.delete(old)
    elif mine.body["revision"] < number:
        work.change(mine, lambda body: {**body, "revision": number})
    return name, digest


def _revision_of(pod: Stored) -> str:
    return labels_of(pod.body).get(_HASH, "")


# --- StatefulSets ----------------------------------------------------------------------------------------------------


def stateful_set(work: Work, stored: Stored) -> None:
    """One look at a StatefulSet: numbered pods, one after the other, each with its claims."""
    owner, spec = stored.body, stored.body["spec"]
    update, _ = _keep_revision(work, owner)
    current = at(owner, "status.currentRevision") or update
    pods = {_number(p): p for p in work.claimed(stored)}
    _step(work, owner, pods, current, update)
    staying = [p for p in pods.values() if not is_going(p.body)]
    ready, available = work.ready_and_available(stored, [p.body for p in staying])
    updated = sum(_revision_of(p) == update for p in staying)
    if updated == spec["replicas"] == ready == len(staying):
        current = update
    status = {
        "replicas": len(staying),
        "readyReplicas": ready,
        "availableReplicas": available,
        "updatedReplicas": updated,
        "currentReplicas": sum(_revision_of(p) == current for p in staying),
        "currentRevision": current,
        "updateRevision": update,
    }
    work.report(stored, status)


def _number(pod: Stored) -> int:
    tail = pod.key[2].rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def _step(work: Work, owner: Json, pods: dict[int, Stored], current: str, update: str) -> None:
    """Makes what is missing, removes what is too much, replaces what is old; one at a time unless Parallel."""
    spec = owner["spec"]
    first = at(spec, "ordinals.start") or 0
    wanted = range(first, first + spec["replicas"])
    rolling = spec["updateStrategy"]["type"] == "RollingUpdate"
    kept = wanted[: at(spec, "updateStrategy.rollingUpdate.partition") or 0]  # these keep the older template
    parallel = spec.get("podManagementPolicy") == "Parallel"
    for number in wanted:
        pod = pods.get(number)
        if pod is None:
            _add_numbered(work, owner, number, current if rolling and number in kept else update)
        elif at(pod.body, "status.phase") in OVER:
            work.delete(pod)
        elif available_in(pod.body, spec.get("minReadySeconds", 0)) == 0:
            continue
        if not parallel:
            return  # also for ever, for a pod of an older template that never gets ready
    for number in sorted((n for n in pods if n not in wanted), reverse=True):
        work.remove_pod(owner, pods[number])
        if not parallel:
            return
    for number in reversed(wanted[len(kept) :] if rolling else []):
        pod = pods.get(number)
        if pod is None or is_going(pod.body):
            return
        if _revision_of(pod) != update:
            work.remove_pod(owner, pod)
            return
        if not is_ready(pod.body):
            return


def _add_numbered(work: Work, owner: Json, number: int, revision: str) -> None:
    name = f"{owner['metadata']['name']}-{number}"
    kept = work.store.get(REVISIONS, owner["metadata"]["namespace"], revision)
    template = at(kept.body, "data.spec.template") if kept else owner["spec"]["template"]
    labels = {
        _HASH: revision,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(number),
    }
    claims = _claims(work, owner, number)
    volumes = {v["name"]: v for v in [*(template["spec"].get("volumes") or []), *claims]}
    spec = {"hostname": name, "volumes": list(volumes.values())}
    if service := owner["spec"].get("serviceName"):
        spec["subdomain"] = service
    work.add_pod(owner, {"name": name, "labels": labels}, spec, template)


def _claims(work: Work, owner: Json, number: int) -> list[Json]:
    """Makes the volume claims of a numbered pod; returns the volumes for them."""
    volumes = []
    for template in owner["spec"].get("volumeClaimTemplates") or []:
        short = template["metadata"]["name"]
        name = f"{short}-{owner['metadata']['name']}-{number}"
        if work.store.get(CLAIMS, owner["metadata"]["namespace"], name) is None:
            metadata = {"name": name, "labels": at(owner, "spec.selector.matchLabels") or {}}
            work.create(CLAIMS, owner, {"metadata": metadata, "spec": template["spec"]}, owned=False)
        volumes.append({"name": short, "persistentVolumeClaim": {"claimName": name}})
    return volumes


# --- DaemonSets ------------------------------------------------------------------------------------------------------


def daemon_set(work: Work, stored: Stored) -> None:
    """One look at a DaemonSet: a pod on every node that fits; one that is cordoned or silent keeps its own."""
    owner, template = stored.body, stored.body["spec"]["template"]["spec"]
    _, digest = _keep_revision(work, owner)
    tolerations = [*(template.get("tolerations") or []), *_tolerations()]
    spec = {**template, "tolerations": tolerations}
    pods: dict[str, list[Stored]] = {n.key[2]: [] for n in work.store.all(NODES) if not fits(spec, n.body)}
    nodes = list(pods)
    for pod in work.claimed(stored):
        if at(pod.body, "status.phase") in OVER:
            work.delete(pod)
        else:
            pods.setdefault(_target(pod.body), []).append(pod)
    for node, found in pods.items():
        if not found:
            work.add_pod(owner, {"labels": {_HASH: digest}}, {**_bound_for(node), "tolerations": tolerations})
        for pod in found[1:] if node in nodes else found:
            work.remove_pod(owner, pod)
    placed = [pods[node][0] for node in nodes if pods[node]]
    _replace_old(work, owner, placed, digest, len(nodes))
    staying = [p for p in placed if not is_going(p.body)]
    ready, available = work.ready_and_available(stored, [p.body for p in staying])
    status = {
        "desiredNumberScheduled": len(nodes),
        "currentNumberScheduled": len(staying),
        "numberMisscheduled": len([n for n in pods if n not in nodes]),
        "numberReady": ready,
        "numberAvailable": available,
        "numberUnavailable": len(nodes) - available,
        "updatedNumberScheduled": sum(_revision_of(p) == digest for p in staying),
    }
    work.report(stored, status)


def _bound_for(node: str) -> Json:
    """What keeps a pod to its node."""
    named = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {"affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchFields": [named]}]}}}}


def _target(pod: Json) -> str:
    """The node that a pod was made for."""
    terms = at(pod, f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms") or []
    fields = [field for term in terms for field in term.get("matchFields") or []]
    return str(fields[0]["values"][0] if fields else pod["spec"].get("nodeName"))


def _replace_old(work: Work, owner: Json, placed: list[Stored], digest: str, nodes: int) -> None:
    """Deletes pods of an older template, unready ones first, as far as the budget allows."""
    strategy = owner["spec"]["updateStrategy"]
    budget = max(1, share(at(strategy, "rollingUpdate.maxUnavailable") or 1, nodes, up=True))
    budget -= nodes - sum(is_ready(p.body) and not is_going(p.body) for p in placed)
    old = [p for p in placed if _revision_of(p) != digest and strategy["type"] == "RollingUpdate"]
    for pod in sorted(old, key=lambda p: is_ready(p.body)):
        if not is_ready(pod.body):
            work.remove_pod(owner, pod)
        elif budget > 0 and not is_going(pod.body):
            budget -= 1
            work.remove_pod(owner, pod)
