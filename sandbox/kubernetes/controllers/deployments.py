"""Deployments: a ReplicaSet for each template, rolled over from old to new (pkg/controller/deployment)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.controllers.work import (
    OVER,
    SETS,
    Work,
    annotations_of,
    at,
    condition,
    labels_of,
    share,
    template_hash,
)
from sandbox.kubernetes.store import Stored

_OURS = "deployment.kubernetes.io/"  # what the names of our annotations begin with
_REVISION, _HISTORY = f"{_OURS}revision", f"{_OURS}revision-history"
_DESIRED, _MOST = f"{_OURS}desired-replicas", f"{_OURS}max-replicas"
_NOT_COPIED = (_OURS, "kubectl.kubernetes.io/last-applied-configuration")
_HASH = "pod-template-hash"


def roll_out(work: Work, stored: Stored) -> None:
    """One look at a Deployment: the next step from the old sets to the new one."""
    deployment, spec = stored.body, stored.body["spec"]
    sets = work.claimed(stored, SETS)
    digest = template_hash(spec["template"])
    new = next((s for s in sets if labels_of(s.body).get(_HASH) == digest), None)
    olds = [s for s in sets if s is not new]
    fresh = new is None and not spec.get("paused")
    if spec.get("paused"):
        _scale_paused(work, deployment, sets)
    else:
        new = _number(work, stored, new or _create_set(work, deployment, digest), olds)
        roll = _recreate if spec["strategy"]["type"] == "Recreate" else _roll
        roll(work, deployment, new, olds)
    _report(work, stored, new, olds, fresh=fresh)


# --- sets and their revisions ----------------------------------------------------------------------------------------


def _create_set(work: Work, deployment: Json, digest: str) -> Stored:
    """The ReplicaSet for the present template, without pods as yet."""
    spec, more = deployment["spec"], {_HASH: digest}
    labels = {**labels_of(spec["template"]), **more}
    metadata = {
        "name": f"{deployment['metadata']['name'][:240]}-{digest}",
        "labels": labels,
        "annotations": {k: v for k, v in annotations_of(deployment).items() if not k.startswith(_NOT_COPIED)},
    }
    body = {
        "replicas": 0,
        "selector": {
            **spec["selector"],
            "matchLabels": {**(spec["selector"].get("matchLabels") or {}), **more},
        },
        "template": {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}},
    }
    if seconds := spec.get("minReadySeconds"):
        body["minReadySeconds"] = seconds
    return work.create(SETS, deployment, {"metadata": metadata, "spec": body})


def _revision(stored: Stored) -> int:
    return int(annotations_of(stored.body).get(_REVISION, "0"))


def _number(work: Work, stored: Stored, new: Stored, olds: list[Stored]) -> Stored:
    """Gives the new set the highest revision, and the Deployment the same. Returns the set."""
    revision, highest = _revision(new), max((_revision(s) for s in olds), default=0) + 1
    if revision < highest:
        known = [*filter(None, [annotations_of(new.body).get(_HISTORY)]), str(revision)]
        more = {_HISTORY: ",".join(known)} if revision else {}
        new = _annotate(work, new, {**more, _REVISION: str(highest)})
    if _revision(stored) != _revision(new):
        # Reported as status: no new generation of the Deployment.
        _annotate(work, stored, {_REVISION: str(_revision(new))}, subresource="status")
    return new


def _annotate(work: Work, stored: Stored, more: dict[str, str], subresource: str = "") -> Stored:
    def change(body: Json) -> Json:
        body["metadata"]["annotations"] = {**annotations_of(body), **more}
        return body

    manager = Manager(work.operations.system.name, "Update", subresource)
    return work.operations.update(work.kinds.get(*stored.key[0]), *stored.key[1:], change, manager=manager)


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
    surge = share(rolling.get("maxSurge", "25%"), wanted, up=True)
    missing = share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return surge, min(missing if surge or missing else 1, wanted)


def _wanted(*sets: Stored) -> int:
    return sum(s.body["spec"]["replicas"] for s in sets)


def _count(field: str, *sets: Stored) -> int:
    """The sum of a number in the sets' status."""
    return sum(at(s.body, f"status.{field}") or 0 for s in sets)


def _roll(work: Work, deployment: Json, new: Stored, olds: list[Stored]) -> None:
    """More new pods as far as there is room; else fewer old ones, as far as enough stay available."""
    wanted = deployment["spec"]["replicas"]
    surge, missing = _budget(deployment["spec"])
    total, least = _wanted(new, *olds), wanted - missing
    count = min(wanted, _wanted(new) + max(0, wanted + surge - total))
    if count != _wanted(new):
        _scale(work, deployment, new, count)
        return
    room = (
        total - least - (_wanted(new) - _count("availableReplicas", new))
    )  # for those that are not available
    spare = _count("availableReplicas", new, *olds) - least  # for those that are
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
    if all(at(pod.body, "status.phase") in OVER for pod in left):
        _scale(work, deployment, new, deployment["spec"]["replicas"])


def _scale_paused(work: Work, deployment: Json, sets: list[Stored]) -> None:
    """A paused Deployment is still scaled: its newest set with pods takes the difference."""
    if sets:
        newest = max(sets, key=lambda s: (_wanted(s) > 0, _revision(s)))
        others = _wanted(*sets) - _wanted(newest)
        _scale(work, deployment, newest, max(0, deployment["spec"]["replicas"] - others))


def _scale(work: Work, deployment: Json, stored: Stored, count: int) -> None:
    before, wanted = _wanted(stored), deployment["spec"]["replicas"]
    if before == count:
        return
    more = {_DESIRED: str(wanted), _MOST: str(wanted + _budget(deployment["spec"])[0])}

    def change(body: Json) -> Json:
        body["spec"]["replicas"] = count
        body["metadata"]["annotations"] = {**annotations_of(body), **more}
        return body

    work.change(stored, change)
    words = f"{'up' if count > before else 'down'} replica set {stored.key[2]} from {before} to {count}"
    work.event(deployment, "ScalingReplicaSet", f"Scaled {words}")


# --- status ----------------------------------------------------------------------------------------------------------


def _report(work: Work, stored: Stored, new: Stored | None, olds: list[Stored], *, fresh: bool) -> None:
    spec, sets = stored.body["spec"], [*olds, *([new] if new else [])]
    available = _count("availableReplicas", *sets)
    status = {
        "replicas": _count("replicas", *sets),
        "updatedReplicas": _count("replicas", new) if new else 0,
        "readyReplicas": _count("readyReplicas", *sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, _wanted(*sets) - available),
        "terminatingReplicas": _count("terminatingReplicas", *sets),
    }
    good = available >= spec["replicas"] - _budget(spec)[1]
    minimum = _words(
        "True" if good else "False",
        "MinimumReplicasAvailable" if good else "MinimumReplicasUnavailable",
        f"Deployment {'has' if good else 'does not have'} minimum availability.",
        kind="Available",
    )
    failures = [failed for s in sets if (failed := condition(s.body, "ReplicaFailure"))]
    progressing = _progressing(work, stored, new, status, fresh=fresh)
    work.report(stored, status, minimum, *failures[:1], progressing)
    if _is_complete(spec, status):
        _forget(work, spec, olds)


def _words(status: str, reason: str, message: str, kind: str = "Progressing") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _is_complete(spec: Json, status: Json) -> bool:
    return all(status[f] == spec["replicas"] for f in ("updatedReplicas", "replicas", "availableReplicas"))


def _progressing(work: Work, stored: Stored, new: Stored | None, status: Json, *, fresh: bool) -> Json:
    """The condition that says how the rollout goes (progress.go)."""
    spec, last = stored.body["spec"], condition(stored.body, "Progressing")
    reason = last.get("reason", "")
    if new is None or spec.get("paused"):
        return _words("Unknown", "DeploymentPaused", "Deployment is paused")
    name = new.key[2]
    if fresh:
        words = _words("True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
        return {**words, "lastUpdateTime": stamp()}
    if reason == "NewReplicaSetAvailable" and status["replicas"] == status["updatedReplicas"]:
        return last  # pods that come and go later are no rollout
    if _is_complete(spec, status):
        return _words("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
    left = spec["progressDeadlineSeconds"] - since(last.get("lastUpdateTime", ""))
    if _moved(status, stored.body.get("status") or {}) or reason in ("", "DeploymentPaused"):
        words = _words("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        last = {**words, "lastUpdateTime": stamp()}
    elif reason == "ProgressDeadlineExceeded" or (left < 0 and reason != "NewReplicaSetAvailable"):
        return _words("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
    work.ask_in(stored.key, max(0.2, left + 1.0))
    return last


def _moved(status: Json, old: Json) -> bool:
    """Whether the rollout has come further: fewer old pods, or more of the others."""
    left = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    more = any(status[f] > old.get(f, 0) for f in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return more or status["replicas"] - status["updatedReplicas"] < left
