"""Deployments: a ReplicaSet for each template, rolled over from old to new (pkg/controller/deployment)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.clock import since
from sandbox.kubernetes.controllers.replicasets import adopt
from sandbox.kubernetes.controllers.work import (
    Work,
    condition,
    is_active,
    is_going,
    merged_conditions,
    share,
    template_hash,
)
from sandbox.kubernetes.store import Stored, clone

SETS = ("apps", "replicasets")
_REVISION = "deployment.kubernetes.io/revision"
_HISTORY = "deployment.kubernetes.io/revision-history"
_DESIRED, _MOST = "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", _REVISION, _HISTORY, _DESIRED, _MOST)
_SOURCE = "deployment-controller"
_HASH = "pod-template-hash"


def reconcile(work: Work, stored: Stored) -> None:
    """One look at a Deployment."""
    deployment = stored.body
    if is_going(deployment):
        return
    adopt(work, stored, SETS)
    sets = work.controlled(deployment, SETS)
    digest = template_hash(deployment["spec"]["template"])
    new = next((s for s in sets if s.body["metadata"]["labels"].get(_HASH) == digest), None)
    fresh = False
    if deployment["spec"].get("paused"):
        _scale_paused(work, deployment, sets)
    else:
        if new is None:
            new, fresh = _create_set(work, deployment, digest, sets), True
        new = _set_revision(work, stored, new, sets)
        olds = [s for s in sets if s.key != new.key]
        _roll(work, deployment, new, olds)
    sets = work.controlled(deployment, SETS)
    new = next((s for s in sets if s.body["metadata"]["labels"].get(_HASH) == digest), None)
    _report(work, stored, sets, new, fresh=fresh)


# --- revisions -------------------------------------------------------------------------------------------------------


def _create_set(work: Work, deployment: Json, digest: str, sets: list[Stored]) -> Stored:
    spec = deployment["spec"]
    template = clone(spec["template"])
    labels = {**(template["metadata"].get("labels") or {}), _HASH: digest}
    template["metadata"]["labels"] = labels
    selector = clone(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), _HASH: digest}
    annotations = {k: v for k, v in _annotations(deployment).items() if k not in _NOT_COPIED}
    body = {
        "metadata": {
            "name": f"{deployment['metadata']['name'][:240]}-{digest}",
            "labels": dict(labels),
            "annotations": {**annotations, _REVISION: str(_next_revision(sets))},
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        body["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return work.create(work.kinds.get(*SETS), deployment, body)


def _annotations(body: Json) -> dict[str, str]:
    return body["metadata"].get("annotations") or {}


def _revision(body: Json) -> int:
    return int(_annotations(body).get(_REVISION, "0"))


def _next_revision(sets: list[Stored]) -> int:
    return max((_revision(s.body) for s in sets), default=0) + 1


def _set_revision(work: Work, stored: Stored, new: Stored, sets: list[Stored]) -> Stored:
    """The newest set has the highest revision, and the Deployment the same."""
    olds = [s for s in sets if s.key != new.key]
    highest = _next_revision(olds)
    if _revision(new.body) < highest:
        history = [h for h in _annotations(new.body).get(_HISTORY, "").split(",") if h]
        known = [*history, str(_revision(new.body))]
        new = _annotate(work, new, {_REVISION: str(highest), _HISTORY: ",".join(known)})
    revision = _annotations(new.body)[_REVISION]
    if _annotations(stored.body).get(_REVISION) != revision:
        _annotate(work, stored, {_REVISION: revision})
    return new


def _annotate(work: Work, stored: Stored, more: dict[str, str]) -> Stored:
    """Not counted as a new generation: the controller writes these annotations while it reports the status."""

    def change(body: Json) -> Json:
        body["metadata"]["annotations"] = {**_annotations(body), **more}
        return body

    kind = work.kinds.get(*stored.key[0])
    manager = Manager(work.operations.system.name, "Update", "status" if kind.key != SETS else "")
    return work.operations.update(kind, *stored.key[1:], change, manager=manager)


# --- rolling ---------------------------------------------------------------------------------------------------------


def _budget(spec: Json) -> tuple[int, int]:
    """How many pods more than wanted there may be, and how many fewer available ones."""
    if spec["strategy"]["type"] == "Recreate":
        return 0, spec["replicas"]
    rolling = spec["strategy"].get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), spec["replicas"], up=True)
    missing = share(rolling.get("maxUnavailable", "25%"), spec["replicas"], up=False)
    return surge, min(missing, spec["replicas"]) if surge or missing else 1


def _available(stored: Stored) -> int:
    found: int = (stored.body.get("status") or {}).get("availableReplicas", 0)
    return found


def _wanted(stored: Stored) -> int:
    found: int = stored.body["spec"]["replicas"]
    return found


def _roll(work: Work, deployment: Json, new: Stored, olds: list[Stored]) -> None:
    """The next step from the old sets to the new one."""
    spec = deployment["spec"]
    surge, missing = _budget(spec)
    wanted = spec["replicas"]
    if spec["strategy"]["type"] == "Recreate":
        for old in olds:
            _scale(work, deployment, old, 0)
        if any(is_active(p.body) or is_going(p.body) for s in olds for p in work.controlled(s.body)):
            return
        _scale(work, deployment, new, wanted)
        return
    total = _wanted(new) + sum(_wanted(old) for old in olds)
    if _wanted(new) > wanted:
        _scale(work, deployment, new, wanted)
    elif _wanted(new) < wanted:
        _scale(work, deployment, new, min(wanted, _wanted(new) + max(0, wanted + surge - total)))
    _shrink(work, deployment, new, olds, wanted - missing)


def _shrink(work: Work, deployment: Json, new: Stored, olds: list[Stored], least: int) -> None:
    """Takes pods from the old sets: unready ones first, then ready ones as far as enough stay available."""
    new = work.store.get(*new.key) or new
    total = _wanted(new) + sum(_wanted(old) for old in olds)
    room = total - least - (_wanted(new) - _available(new))  # pods that may go at all
    wants = {old.key: _wanted(old) for old in olds}
    for old in olds:
        unready = min(_wanted(old) - min(_available(old), _wanted(old)), max(0, room))
        wants[old.key] -= unready
        room -= unready
    spare = sum(_available(s) for s in [*olds, new]) - least
    for old in olds:
        ready = max(0, min(wants[old.key], spare))
        wants[old.key] -= ready
        spare -= ready
    for old in olds:
        _scale(work, deployment, old, wants[old.key])


def _scale_paused(work: Work, deployment: Json, sets: list[Stored]) -> None:
    """A paused Deployment is still scaled: its newest set with pods takes the difference."""
    active = [s for s in sets if _wanted(s)] or sets[-1:]
    if active:
        newest = max(active, key=lambda s: _revision(s.body))
        others = sum(_wanted(s) for s in active if s.key != newest.key)
        _scale(work, deployment, newest, max(0, deployment["spec"]["replicas"] - others))


def _scale(work: Work, deployment: Json, stored: Stored, count: int) -> None:
    before = _wanted(stored)
    spec = deployment["spec"]
    more = {_DESIRED: str(spec["replicas"]), _MOST: str(spec["replicas"] + _budget(spec)[0])}
    if before == count:
        return

    def change(body: Json) -> Json:
        body["spec"]["replicas"] = count
        body["metadata"]["annotations"] = {**_annotations(body), **more}
        return body

    work.change(stored, change)
    name, way = stored.key[2], "up" if count > before else "down"
    words = f"Scaled {way} replica set {name} from {before} to {count}"
    work.event(deployment, "Normal", "ScalingReplicaSet", words, _SOURCE)


# --- status ----------------------------------------------------------------------------------------------------------


def _report(work: Work, stored: Stored, sets: list[Stored], new: Stored | None, *, fresh: bool) -> None:
    current = work.store.get(*stored.key)
    if current is None:
        return
    spec, old = current.body["spec"], current.body.get("status") or {}
    status = _numbers(work, spec, sets, new)
    status["observedGeneration"] = current.body["metadata"].get("generation", 1)
    if old.get("collisionCount"):
        status["collisionCount"] = old["collisionCount"]
    progressing = _progressing(work, current, status, new, fresh=fresh)
    least = spec["replicas"] - _budget(spec)[1]
    good = status["availableReplicas"] >= least
    available = {
        "type": "Available",
        "status": "True" if good else "False",
        "reason": "MinimumReplicasAvailable" if good else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if good else 'does not have'} minimum availability.",
    }
    failure = _failure(sets)
    wanted = [c for c in (available, failure, progressing) if c]
    status["conditions"] = merged_conditions(old.get("conditions") or [], wanted, updates=True)
    work.set_status(current, status)
    if new is not None and _is_complete(spec, status):
        _forget(work, spec, [s for s in sets if s.key != new.key])


def _numbers(work: Work, spec: Json, sets: list[Stored], new: Stored | None) -> Json:
    def total(field: str, of: list[Stored]) -> int:
        return sum((s.body.get("status") or {}).get(field, 0) for s in of)

    going = [p for s in sets for p in work.controlled(s.body) if is_going(p.body)]
    return {
        "replicas": total("replicas", sets),
        "updatedReplicas": total("replicas", [new] if new else []),
        "readyReplicas": total("readyReplicas", sets),
        "availableReplicas": total("availableReplicas", sets),
        "unavailableReplicas": max(0, sum(_wanted(s) for s in sets) - total("availableReplicas", sets)),
        "terminatingReplicas": len(going),
    }


def _is_complete(spec: Json, status: Json) -> bool:
    wanted = spec["replicas"]
    found = [status[field] for field in ("updatedReplicas", "replicas", "availableReplicas")]
    return all(number == wanted for number in found)


def _failure(sets: list[Stored]) -> Json:
    """A ReplicaSet that cannot make pods."""
    for stored in sets:
        if failed := condition(stored.body, "ReplicaFailure"):
            return {k: failed[k] for k in ("type", "status", "reason", "message")}
    return {}


def _progressing(work: Work, stored: Stored, status: Json, new: Stored | None, *, fresh: bool) -> Json:
    """The condition that says how the rollout goes."""
    spec, old = stored.body["spec"], stored.body.get("status") or {}
    last = condition(stored.body, "Progressing")
    if spec.get("paused"):
        return _words("Unknown", "DeploymentPaused", "Deployment is paused")
    if new is None:
        return last
    name = new.key[2]
    if fresh:
        return {
            **_words("True", "NewReplicaSetCreated", f'Created new replica set "{name}"'),
            "_progress": True,
        }
    if _is_complete(spec, status):
        return _words("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
    if (
        last.get("reason") == "NewReplicaSetAvailable"
        and old.get("updatedReplicas")
        and not _moved(status, old)
    ):
        generation = stored.body["metadata"].get("generation", 1)
        if old.get("observedGeneration") == generation:  # pods come and go without a rollout
            return last
    if (
        _moved(status, old)
        or not last
        or last.get("reason") in ("DeploymentPaused", "NewReplicaSetAvailable")
    ):
        _remind(work, stored, 0.0)
        return {
            **_words("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'),
            "_progress": True,
        }
    waited = since(last.get("lastUpdateTime", ""))
    if last["reason"] == "ProgressDeadlineExceeded" or waited > spec["progressDeadlineSeconds"]:
        return _words("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
    _remind(work, stored, waited)
    return last


def _remind(work: Work, stored: Stored, waited: float) -> None:
    """Looks again when the deadline has passed."""
    work.ask_in(stored.key, max(0.2, stored.body["spec"]["progressDeadlineSeconds"] - waited + 1.0))


def _words(status: str, reason: str, message: str) -> Json:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def _moved(status: Json, old: Json) -> bool:
    """Whether the rollout has come further (util.DeploymentProgressing)."""
    left = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    return (
        status["updatedReplicas"] > old.get("updatedReplicas", 0)
        or status["replicas"] - status["updatedReplicas"] < left
        or status["readyReplicas"] > old.get("readyReplicas", 0)
        or status["availableReplicas"] > old.get("availableReplicas", 0)
    )


def _forget(work: Work, spec: Json, olds: list[Stored]) -> None:
    """Old sets beyond the history that is kept."""
    empty = [s for s in olds if not _wanted(s) and not (s.body.get("status") or {}).get("replicas")]
    empty.sort(key=lambda s: _revision(s.body))
    for stored in empty[: max(0, len(empty) - spec["revisionHistoryLimit"])]:
        if not is_going(stored.body):
            work.delete(stored)
