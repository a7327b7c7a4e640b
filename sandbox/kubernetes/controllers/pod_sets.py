"""ReplicaSets, StatefulSets and DaemonSets: pods that are to run for ever (pkg/controller/{replicaset,statefulset,daemon})."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.controllers import bodies, keys
from sandbox.kubernetes.controllers.bodies import is_going, is_over, is_ready, labels_of
from sandbox.kubernetes.controllers.scheduler import REQUIRED, fits
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import value_at
from sandbox.kubernetes.store import Stored

_HASH = "controller-revision-hash"
_TOLERATED = """not-ready:NoExecute unreachable:NoExecute disk-pressure:NoSchedule memory-pressure:NoSchedule
    pid-pressure:NoSchedule unschedulable:NoSchedule"""  # by the pods of DaemonSets


# --- Deployments: a ReplicaSet for each template ---------------------------------------------------------------------


def replica_set(work: Work, stored: Stored) -> None:
    """One look at a ReplicaSet: as many pods as wanted."""
    owner = stored.body
    everything = [p for p in work.claimed(stored) if not is_over(p.body)]
    pods = [p for p in everything if not is_going(p.body)]
    surplus = len(pods) - owner["spec"]["replicas"]
    failures: list[Json] = []
    try:
        for _ in range(-surplus):
            work.add_pod(owner, {}, {})
    except Refused as refusal:
        words = {"reason": "FailedCreate", "message": refusal.message}
        failures = [{"type": "ReplicaFailure", "status": "True", **words}]
        work.ask_in(stored.key, 5.0)
    for pod in sorted(pods, key=_rank)[: max(0, surplus)]:
        work.remove_pod(owner, pod)
    more = {"terminatingReplicas": len(everything) - len(pods)}
    work.report(stored, {**work.count(stored, pods), **more}, *failures)


def _rank(pod: Stored) -> tuple[bool, bool, int]:
    """Sort key for the deletion of pods: first those without a node, then those that are not ready, then the youngest."""
    return "nodeName" in pod.body["spec"], is_ready(pod.body), -pod.version


# --- revisions of StatefulSets and DaemonSets ------------------------------------------------------------------------


def _keep_revision(work: Work, owner: Json) -> tuple[str, str]:
    """A ControllerRevision for the present template, the newest of all. Returns its name and the template's hash."""
    template, metadata = owner["spec"]["template"], owner["metadata"]
    digest = bodies.template_hash(template)
    name = f"{metadata['name']}-{digest}"
    others = [s for s in work.controlled(owner, keys.REVISIONS) if s.key[2] != name]
    others.sort(key=lambda s: s.body["revision"])
    number = others[-1].body["revision"] + 1 if others else 1
    mine = work.store.get(keys.REVISIONS, metadata["namespace"], name)
    if mine is None or mine.body["revision"] < number:
        data = {"spec": {"template": {**template, "$patch": "replace"}}}
        about = {"name": name, "labels": {**labels_of(template), _HASH: digest}}
        surplus = others[: max(0, len(others) - owner["spec"].get("revisionHistoryLimit", 10))]
        for old in [*surplus, *([mine] if mine else [])]:
            work.delete(old)
        work.create(keys.REVISIONS, owner, about, data=data, revision=number)
    return name, digest


def _revision_name(pod: Stored) -> str:
    return labels_of(pod.body).get(_HASH, "")


# --- StatefulSets ----------------------------------------------------------------------------------------------------


def stateful_set(work: Work, stored: Stored) -> None:
    """One look at a StatefulSet: numbered pods, one after the other, each with its claims."""
    owner, replicas = stored.body, stored.body["spec"]["replicas"]
    update, _ = _keep_revision(work, owner)
    current = value_at(owner, "status.currentRevision") or update
    pods = {_number(p): p for p in work.claimed(stored)}
    _step(work, owner, pods, current, update)
    staying = [p for p in pods.values() if not is_going(p.body)]
    counts, revisions = work.count(stored, staying), [_revision_name(p) for p in staying]
    if revisions == [update] * replicas and counts["readyReplicas"] == replicas:
        current = update
    counts |= {"updatedReplicas": revisions.count(update), "currentReplicas": revisions.count(current)}
    work.report(stored, {**counts, "currentRevision": current, "updateRevision": update})


def _number(pod: Stored) -> int:
    tail = pod.key[2].rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def _step(work: Work, owner: Json, pods: dict[int, Stored], current: str, update: str) -> None:
    """Creates missing pods, removes surplus ones, replaces those of an old template; one at a time unless Parallel."""
    spec = owner["spec"]
    first = value_at(spec, "ordinals.start") or 0
    wanted = range(first, first + spec["replicas"])
    rolling = spec["updateStrategy"]["type"] == "RollingUpdate"
    kept = wanted[
        : value_at(spec, "updateStrategy.rollingUpdate.partition") or 0
    ]  # these keep the older template
    parallel = spec.get("podManagementPolicy") == "Parallel"
    for number in wanted:
        pod = pods.get(number)
        if pod is None:
            _add_numbered(work, owner, number, current if rolling and number in kept else update)
        elif is_over(pod.body):
            work.delete(pod)
        elif bodies.available_in(pod.body, spec.get("minReadySeconds", 0)) == 0:
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
        if _revision_name(pod) != update:
            work.remove_pod(owner, pod)
            return
        if not is_ready(pod.body):
            return


def _add_numbered(work: Work, owner: Json, number: int, revision: str) -> None:
    """The pod of a number, and its volume claims unless they are there."""
    name, namespace = f"{owner['metadata']['name']}-{number}", owner["metadata"]["namespace"]
    kept = work.store.get(keys.REVISIONS, namespace, revision)
    template = value_at(kept.body, "data.spec.template") if kept else owner["spec"]["template"]
    volumes = {v["name"]: v for v in template["spec"].get("volumes") or []}
    for claim in owner["spec"].get("volumeClaimTemplates") or []:
        short = claim["metadata"]["name"]
        metadata = {"name": f"{short}-{name}", "labels": owner["spec"]["selector"].get("matchLabels") or {}}
        work.provide(keys.CLAIMS, namespace, metadata, spec=claim["spec"])
        volumes[short] = {"name": short, "persistentVolumeClaim": {"claimName": metadata["name"]}}
    own = {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(number)}
    spec = {"hostname": name, "volumes": list(volumes.values())}
    if service := owner["spec"].get("serviceName"):
        spec["subdomain"] = service
    work.add_pod(owner, {"name": name, "labels": {**own, _HASH: revision}}, spec, template)


# --- DaemonSets ------------------------------------------------------------------------------------------------------


def daemon_set(work: Work, stored: Stored) -> None:
    """One look at a DaemonSet: a pod on every node that fits; one that is cordoned or silent keeps its own."""
    owner, template = stored.body, stored.body["spec"]["template"]["spec"]
    _, digest = _keep_revision(work, owner)
    pairs = [entry.split(":") for entry in _TOLERATED.split()]
    more = [{"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": effect} for k, effect in pairs]
    spec = {**template, "tolerations": [*(template.get("tolerations") or []), *more]}
    nodes = [n.key[2] for n in work.store.all(keys.NODES) if not fits(spec, n.body)]
    pods: dict[str, list[Stored]] = {node: [] for node in nodes}
    for pod in work.claimed(stored):
        if is_over(pod.body):
            work.delete(pod)
        else:
            pods.setdefault(_target(pod.body), []).append(pod)
    refusal: Refused | None = None
    for node, found in pods.items():
        if not found:
            named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
            spec["affinity"] = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [named]}}}
            try:
                work.add_pod(owner, {"labels": {_HASH: digest}}, spec)
            except Refused as error:
                refusal = error
        for pod in found[1:] if node in nodes else found:
            work.remove_pod(owner, pod)
    placed = [pods[node][0] for node in nodes if pods[node] and not is_going(pods[node][0].body)]
    _replace_old(work, owner, placed, digest, len(nodes))
    count, ready, available = work.count(stored, placed).values()
    status = {"desiredNumberScheduled": len(nodes), "currentNumberScheduled": count, "numberReady": ready}
    status |= {"numberAvailable": available, "numberUnavailable": len(nodes) - available}
    status |= {"numberMisscheduled": len(pods) - len(nodes)}
    status |= {"updatedNumberScheduled": [_revision_name(p) for p in placed].count(digest)}
    work.report(stored, status)
    if refusal:
        raise refusal


def _target(pod: Json) -> str:
    """The node that a pod was made for."""
    terms = value_at(pod, f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms") or []
    fields = [field for term in terms for field in term.get("matchFields") or []]
    return str(fields[0]["values"][0] if fields else pod["spec"].get("nodeName"))


def _replace_old(work: Work, owner: Json, placed: list[Stored], digest: str, nodes: int) -> None:
    """Deletes pods of an older template, unready ones first, as far as the budget allows."""
    strategy = owner["spec"]["updateStrategy"]
    if strategy["type"] != "RollingUpdate":
        return
    ready = sum(is_ready(p.body) for p in placed)
    least = nodes - max(
        1, bodies.share(value_at(strategy, "rollingUpdate.maxUnavailable") or 1, nodes, up=True)
    )
    for pod in sorted(placed, key=lambda p: is_ready(p.body)):
        if _revision_name(pod) != digest and (ready > least or not is_ready(pod.body)):
            ready -= is_ready(pod.body)
            work.remove_pod(owner, pod)
