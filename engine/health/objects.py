"""How far an object's rollout is, and whether it can still succeed: rules over the API's JSON, without requests
or clocks.

The sources of the rules are the controllers' own conditions (`kubectl rollout status`) and the pods that belong
to what was just applied. Old pods are never judged: pods are counted by the ReplicaSet of the current revision
(Deployment), the update revision (StatefulSet), the template generation (DaemonSet) or the owner (Job).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.health.pods import condition, is_ready
from engine.health.trouble import Trouble, times
from engine.types import ADDED_ANNOTATION, Json, Progress

REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Judgement:
    """What an object's own status says. `trouble`: the pod trouble that decided, where one did."""

    progress: Progress
    sentence: str
    hint: str = ""
    trouble: Trouble | None = None


def ready(sentence: str) -> Judgement:
    """Done."""
    return Judgement(Progress.READY, sentence)


def waiting(sentence: str) -> Judgement:
    """Under way."""
    return Judgement(Progress.PROGRESSING, sentence)


def failed(sentence: str, hint: str = "", trouble: Trouble | None = None) -> Judgement:
    """It cannot succeed any more without somebody changing something."""
    return Judgement(Progress.FAILED, sentence, hint, trouble)


def judge(kind: str, body: Json, generation: int) -> Judgement:
    """What an object's own status says of its rollout. `generation`: the one our apply was answered with; a
    status of an older one says nothing. Kinds without a rule are ready once they are applied."""
    if body["metadata"].get("deletionTimestamp"):
        return waiting("is being deleted")
    rules = {
        "Deployment": _deployment,
        "StatefulSet": _stateful_set,
        "DaemonSet": _daemon_set,
        "ReplicaSet": _replica_set,
        "Job": _job,
        "Pod": _pod,
        "Service": _service,
        "CustomResourceDefinition": _definition,
    }
    rule = rules.get(kind)
    if rule is None:
        return ready("applied")
    if not is_observed(kind, body, generation):
        return waiting("waiting for its controller")
    return rule(body)


_OBSERVED = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}


def is_observed(kind: str, body: Json, generation: int) -> bool:
    """Both guards: the object is not older than our apply, and its status is not older than the object's
    specification. Until then the pods that it calls current may be the old ones."""
    if kind not in _OBSERVED:
        return True
    seen = int((body.get("status") or {}).get("observedGeneration") or 0)
    current = int(body["metadata"].get("generation") or 0)
    return current >= generation and seen >= max(generation, current)


def _counts(body: Json, *names: str) -> list[int]:
    status = body.get("status") or {}
    return [int(status.get(name) or 0) for name in names]


def _wanted(body: Json) -> int:
    replicas = (body.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _of(count: int, wanted: int, what: str) -> str:
    return f"{count} of {wanted} {'replica' if wanted == 1 else 'replicas'} {what}"


def _deployment(body: Json) -> Judgement:
    """`kubectl rollout status`, and new replicas available: while `replicas == updatedReplicas`, no old pod is
    counted."""
    wanted = _wanted(body)
    total, updated, available = _counts(body, "replicas", "updatedReplicas", "availableReplicas")
    if (body.get("spec") or {}).get("paused"):
        return ready("is paused: its pods stay as they are")
    progressing = condition(body, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        seconds = (body.get("spec") or {}).get("progressDeadlineSeconds") or 600
        return failed(f"its new pods did not become ready within {seconds} seconds", _NOT_READY_HINT)
    if updated < wanted:
        return waiting(_of(updated, wanted, "updated"))
    if total > updated:
        return waiting(f"{_of(min(available, wanted), wanted, 'ready')}, {total - updated} old still running")
    if available < wanted:
        return waiting(_ready_words(body, available, wanted))
    return ready(_of(available, wanted, "ready") if wanted else "no replicas wanted")


def _ready_words(body: Json, available: int, wanted: int) -> str:
    """How many are ready, and how many of them long enough, where the object asks for that."""
    seconds = int((body.get("spec") or {}).get("minReadySeconds") or 0)
    (ready_now,) = _counts(body, "readyReplicas")
    by_us = ADDED_ANNOTATION in (body["metadata"].get("annotations") or {})
    if by_us and ready_now > available:
        return _of(ready_now, wanted, "ready")  # the settle time says the rest
    if not seconds or ready_now <= available:
        return _of(available, wanted, "ready")
    return f"{_of(ready_now, wanted, 'ready')}, {available} for {seconds} s or longer (minReadySeconds)"


_NOT_READY_HINT = "Look at the pods' log and at their readiness probe."


def _stateful_set(body: Json) -> Judgement:
    spec = body.get("spec") or {}
    wanted = _wanted(body)
    total, updated = _counts(body, "replicas", "updatedReplicas")
    (available,) = _counts(body, "availableReplicas" if spec.get("minReadySeconds") else "readyReplicas")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return ready("applied; its pods change when they are deleted (OnDelete)")
    status = body.get("status") or {}
    if status.get("updateRevision") and status.get("updateRevision") == status.get("currentRevision"):
        updated = max(updated, total)  # the controller stops counting when the update is over
    to_update = max(0, wanted - int((strategy.get("rollingUpdate") or {}).get("partition") or 0))
    if updated < to_update:
        return waiting(_of(updated, to_update, "updated"))
    if total > wanted:
        return waiting(f"{total - wanted} still to stop")
    if available < wanted:
        return waiting(_ready_words(body, available, wanted))
    return ready(_of(available, wanted, "ready") if wanted else "no replicas wanted")


def _daemon_set(body: Json) -> Judgement:
    wanted, updated, available, missing = _counts(
        body, "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"
    )
    if ((body.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete":
        return ready("applied; its pods change when they are deleted (OnDelete)")
    if updated < wanted:
        return waiting(f"updated on {updated} of {wanted} nodes")
    if missing or available < wanted:
        return waiting(f"ready on {available} of {wanted} nodes")
    return ready(f"ready on {wanted} nodes" if wanted else "no node takes it")


def _replica_set(body: Json) -> Judgement:
    wanted = _wanted(body)
    total, available = _counts(body, "replicas", "availableReplicas")
    if total == wanted and available == wanted:
        return ready(_of(available, wanted, "ready"))
    return waiting(_of(available, wanted, "ready"))


def _job(body: Json) -> Judgement:
    for kind in ("Failed", "FailureTarget"):
        entry = condition(body, kind)
        if entry.get("status") == "True":
            return failed(
                f"the Job failed ({_job_reason(entry, body)})", "Look at the last lines of its log."
            )
    (active,) = _counts(body, "active")
    if condition(body, "Complete").get("status") == "True":
        return ready("completed")
    if condition(body, "SuccessCriteriaMet").get("status") == "True":
        return waiting("completed, its pods end")
    if (body.get("spec") or {}).get("suspend"):
        return ready("is suspended")
    return waiting("running" if active else "waiting for its pod")


def _job_reason(entry: Json, body: Json) -> str:
    if entry.get("reason") == "BackoffLimitExceeded":
        count = failed_pods(body)
        return f"its pod failed {times(count)}" if count else "its pod failed"
    if entry.get("reason") == "DeadlineExceeded":
        return f"it ran longer than {(body.get('spec') or {}).get('activeDeadlineSeconds')} seconds"
    return str(entry.get("message") or entry.get("reason") or "no reason given")


def failed_pods(body: Json) -> int:
    """How many pods of a Job have failed; the controller says that the Job will fail before it has counted the last of them."""
    status = body.get("status") or {}
    uncounted = (status.get("uncountedTerminatedPods") or {}).get("failed") or []
    return int(status.get("failed") or 0) + len(uncounted)


def _pod(body: Json) -> Judgement:
    """A bare pod. One that may not restart is done when it succeeded."""
    phase = (body.get("status") or {}).get("phase")
    if phase == "Succeeded":
        return ready("completed")
    if phase == "Failed":
        return failed(
            str((body.get("status") or {}).get("message") or "failed"), "Look at the last lines of its log."
        )
    lasting = (body.get("spec") or {}).get("restartPolicy", "Always") == "Always"
    if lasting and is_ready(body):
        return ready("ready")
    return waiting("running" if phase == "Running" else "waiting to start")


def _service(body: Json) -> Judgement:
    if (body.get("spec") or {}).get("type") != "LoadBalancer":
        return ready("applied")
    entries = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    if not entries:
        return waiting("waiting for the load balancer's address")
    return ready(f"address {entries[0].get('ip') or entries[0].get('hostname')}")


def _definition(body: Json) -> Judgement:
    names = condition(body, "NamesAccepted")
    if names.get("status") == "False" and names.get("reason") != "NotAccepted":
        return failed(f"its names are not accepted: {names.get('message')}")
    if condition(body, "Established").get("status") == "True":
        return ready("established")
    return waiting("waiting to be established")


def current_pods(kind: str, body: Json, pods: Iterable[Json], replica_sets: Iterable[Json]) -> list[Json]:
    """Those of the pods that belong to what was applied last, without those on their way out.

    `replica_sets` may hold metadata only. Without the right ReplicaSet a Deployment has no current pods yet.
    """
    owner = body["metadata"].get("uid")
    wanted: dict[str, str] = {}
    if kind == "Deployment":
        owner = _current_replica_set(body, replica_sets)
    elif kind == "StatefulSet":
        wanted = {"controller-revision-hash": (body.get("status") or {}).get("updateRevision") or "?"}
    elif kind == "DaemonSet":
        annotations = body["metadata"].get("annotations") or {}
        if generation := annotations.get("deprecated.daemonset.template.generation"):
            wanted = {"pod-template-generation": generation}
    elif kind == "Pod":
        return [body]
    return [pod for pod in pods if owner and is_owned(pod, owner) and _has_labels(pod, wanted)]


def _current_replica_set(body: Json, replica_sets: Iterable[Json]) -> str:
    revision = (body["metadata"].get("annotations") or {}).get(REVISION)
    for item in replica_sets:
        annotations = item["metadata"].get("annotations") or {}
        if revision and annotations.get(REVISION) == revision and is_owned(item, body["metadata"]["uid"]):
            return str(item["metadata"]["uid"])
    return ""


def is_owned(body: Json, uid: str) -> bool:
    """Whether the object with that uid owns this one, which is not on its way out."""
    metadata = body["metadata"]
    return not metadata.get("deletionTimestamp") and any(
        owner.get("uid") == uid for owner in metadata.get("ownerReferences") or []
    )


def _has_labels(body: Json, wanted: dict[str, str]) -> bool:
    labels = body["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())
