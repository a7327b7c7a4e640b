"""Deployments: a ReplicaSet for each template (pkg/controller/deployment)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.controllers import bodies, keys
from sandbox.kubernetes.controllers.bodies import annotations_of, is_over, labels_of
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.selectors import value_at
from sandbox.kubernetes.store import Stored

_OURS = "deployment.kubernetes.io/"  # what the names of our annotations begin with
_REVISION, _HISTORY = f"{_OURS}revision", f"{_OURS}revision-history"
_NOT_COPIED = (_OURS, "kubectl.kubernetes.io/last-applied-configuration")
_POD_HASH = "pod-template-hash"


def roll_out(work: Work, stored: Stored) -> None:
    """One look at a Deployment: the next step from the old sets to the new one."""
    deployment, spec = stored.body, stored.body["spec"]
    sets = work.claimed(stored, keys.REPLICA_SETS)
    digest = bodies.template_hash(spec["template"])
    new = next((s for s in sets if labels_of(s.body).get(_POD_HASH) == digest), None)
    olds = [s for s in sets if s is not new]
    if spec.get("paused"):
        _scale_paused(work, deployment, sets)
    else:
        highest = max((_revision(s) for s in olds), default=0) + 1
        new = new or _create_set(work, deployment, digest, highest)
        _renumber(work, stored, new, highest)
        roll = _recreate if spec["strategy"]["type"] == "Recreate" else _roll
        roll(work, deployment, new, olds)
    _report(work, stored, new, olds)


def _create_set(work: Work, deployment: Json, digest: str, revision: int) -> Stored:
    """The ReplicaSet for the present template, without pods as yet."""
    spec, template, own = deployment["spec"], deployment["spec"]["template"], {_POD_HASH: digest}
    labels = {**labels_of(template), **own}
    copied = {k: v for k, v in annotations_of(deployment).items() if not k.startswith(_NOT_COPIED)}
    metadata = {"name": f"{deployment['metadata']['name'][:240]}-{digest}", "labels": labels}
    metadata["annotations"] = {**copied, _REVISION: str(revision)}
    body = {"replicas": 0, "template": {**template, "metadata": {**template["metadata"], "labels": labels}}}
    body["selector"] = {**spec["selector"], "matchLabels": {**spec["selector"].get("matchLabels", {}), **own}}
    if seconds := spec.get("minReadySeconds"):
        body["minReadySeconds"] = seconds
    return work.create(keys.REPLICA_SETS, deployment, metadata, spec=body)


def _revision(stored: Stored) -> int:
    return int(annotations_of(stored.body).get(_REVISION, "0"))


def _renumber(work: Work, stored: Stored, new: Stored, highest: int) -> None:
    """Gives the new set the highest revision, and the Deployment the same."""
    revision = max(_revision(new), highest)
    if _revision(new) < highest:
        history = [annotations_of(new.body).get(_HISTORY, ""), str(_revision(new))]
        own = {_REVISION: str(highest), _HISTORY: ",".join(filter(None, history))}
        work.change(new, metadata={"annotations": {**annotations_of(new.body), **own}})
    if _revision(stored) != revision:  # told as part of the status: it makes no new generation
        own = {**annotations_of(stored.body), _REVISION: str(revision)}
        work.change(stored, "status", metadata={"annotations": own})


def _forget(work: Work, spec: Json, olds: list[Stored]) -> None:
    """Deletes empty sets beyond the history that is kept."""
    empty = [s for s in olds if not _wanted(s) and not _count("replicas", s)]
    for stored in sorted(empty, key=_revision)[: max(0, len(empty) - spec["revisionHistoryLimit"])]:
        work.delete(stored)


# --- rolling (as in rolling.go, recreate.go, sync.go) ----------------------------------------------------------------


def _budget(spec: Json) -> tuple[int, int]:
    """How many pods more than wanted there may be, and how many fewer available ones."""
    if spec["strategy"]["type"] == "Recreate":
        return 0, 0
    rolling, wanted = spec["strategy"].get("rollingUpdate") or {}, spec["replicas"]
    surge = bodies.share(rolling.get("maxSurge", "25%"), wanted, up=True)
    missing = bodies.share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return surge, min(missing if surge or missing else 1, wanted)


def _wanted(*sets: Stored) -> int:
    return sum(s.body["spec"]["replicas"] for s in sets)


def _count(field: str, *sets: Stored) -> int:
    """The sum of a number in the sets' status."""
    return sum(value_at(s.body, f"status.{field}") or 0 for s in sets)


def _roll(work: Work, deployment: Json, new: Stored, olds: list[Stored]) -> None:
    """More new pods as far as there is room; else fewer old ones, as far as enough stay available."""
    wanted = deployment["spec"]["replicas"]
    surge, missing = _budget(deployment["spec"])
    total, least = _wanted(new, *olds), wanted - missing
    count = min(wanted, _wanted(new) + max(0, wanted + surge - total))
    if count != _wanted(new):
        _scale(work, deployment, new, count)
        return
    # How many may go of those that are not available, and of the others.
    room = total - least - (_wanted(new) - _count("availableReplicas", new))
    spare = _count("availableReplicas", new, *olds) - least
    for old in olds:
        broken = max(0, min(room, _wanted(old) - _count("availableReplicas", old)))
        good = max(0, min(spare, _wanted(old) - broken))
        room, spare = room - broken, spare - good
        _scale(work, deployment, old, _wanted(old) - broken - good)


def _recreate(work: Work, deployment: Json, new: Stored, olds: list[Stored]) -> None:
    """No new pods before all old ones have ended."""
    for old in olds:
        _scale(work, deployment, old, 0)
    left = [pod for old in olds for pod in work.controlled(old.body)]
    if all(is_over(pod.body) for pod in left):
        _scale(work, deployment, new, deployment["spec"]["replicas"])


def _scale_paused(work: Work, deployment: Json, sets: list[Stored]) -> None:
    """Scales a paused Deployment: the newest set with pods takes the difference."""
    if sets:
        newest = max(sets, key=lambda s: (_wanted(s) > 0, _revision(s)))
        others = _wanted(*sets) - _wanted(newest)
        _scale(work, deployment, newest, max(0, deployment["spec"]["replicas"] - others))


def _scale(work: Work, deployment: Json, stored: Stored, count: int) -> None:
    before = _wanted(stored)
    if before != count:
        work.change(stored, spec={"replicas": count})
        words = f"{'up' if count > before else 'down'} replica set {stored.key[2]} from {before} to {count}"
        work.event(deployment, "ScalingReplicaSet", f"Scaled {words}")


# --- status ----------------------------------------------------------------------------------------------------------


def _report(work: Work, stored: Stored, new: Stored | None, olds: list[Stored]) -> None:
    spec, sets = stored.body["spec"], [*olds, *([new] if new else [])]
    fields = ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
    status = {field: _count(field, *sets) for field in fields}
    available = status["availableReplicas"]
    status["updatedReplicas"] = _count("replicas", new) if new else 0
    status["unavailableReplicas"] = max(0, _wanted(*sets) - available)
    minimum = _words("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    if available >= spec["replicas"] - _budget(spec)[1]:
        minimum = _words("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    minimum["type"] = "Available"
    failures = [failed for s in sets if (failed := bodies.condition(s.body, "ReplicaFailure"))]
    progressing = _progressing(work, stored, new, status)
    work.report(stored, status, minimum, *failures[:1], progressing)
    if _is_complete(spec, status):
        _forget(work, spec, olds)


def _words(status: str, reason: str, message: str) -> Json:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def _is_complete(spec: Json, status: Json) -> bool:
    return all(status[f] == spec["replicas"] for f in ("updatedReplicas", "replicas", "availableReplicas"))


def _progressing(work: Work, stored: Stored, new: Stored | None, status: Json) -> Json:
    """The condition about the rollout's progress (progress.go). Its message names the ReplicaSet."""
    spec, last = stored.body["spec"], bodies.condition(stored.body, "Progressing")
    if new is None or spec.get("paused"):
        return _words("Unknown", "DeploymentPaused", "Deployment is paused")
    name, reason = f'ReplicaSet "{new.key[2]}"', last.get("reason", "")
    begun = name in last.get("message", "")
    if begun and reason == "NewReplicaSetAvailable" and status["replicas"] == status["updatedReplicas"]:
        return last  # pods that come and go later are no rollout
    if _is_complete(spec, status):
        return _words("True", "NewReplicaSetAvailable", f"{name} has successfully progressed.")
    left = spec["progressDeadlineSeconds"] - since(last.get("lastUpdateTime", ""))
    if not begun or _moved(status, stored.body.get("status") or {}):
        last = {**_words("True", "ReplicaSetUpdated", f"{name} is progressing."), "lastUpdateTime": stamp()}
        left = spec["progressDeadlineSeconds"]
    elif reason == "ProgressDeadlineExceeded" or (left < 0 and reason != "NewReplicaSetAvailable"):
        return _words("False", "ProgressDeadlineExceeded", f"{name} has timed out progressing.")
    work.ask_in(stored.key, left + 1.0)
    return last


def _moved(status: Json, old: Json) -> bool:
    """Whether the rollout has come further: fewer old pods, or more of the others."""
    left = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    more = any(status[f] > old.get(f, 0) for f in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return more or status["replicas"] - status["updatedReplicas"] < left


# --- ReplicaSets -----------------------------------------------------------------------------------------------------
