"""What runs between deploys, by the same rules as a rollout. Pure functions over the API's JSON.

A rollout watches its pods and counts from what it has seen. Here is one look at a time, so that all ages come from the
times that the cluster itself wrote: since when a pod is not ready, how long a container ran before it ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.health.crashes import exits_of, exits_of_pod, statuses_of
from engine.health.creation import refused_pods
from engine.health.events import age_of, event_time
from engine.health.objects import Judgement
from engine.health.pods import condition, failed_by_its_node, is_ready, troubles_of
from engine.health.quorum import rank
from engine.health.trouble import NEVER, Trouble, ended_state
from engine.limits import Limits
from engine.types import Json, Progress

_LIMITS = Limits()
# A kubelet forgets earlier ends of a container that has run for ten minutes: its pause before the next start begins anew.
_NEW_SERIES = 600.0
_CALM = 60.0  # seconds for which a container must run, and twice as long as last time, before it counts as well again
_NO_PLACE = 60.0  # no place, or evicted: an autoscaler brings a node, the controller another pod
_NOT_READY = 120.0  # pods of a rollout that is over, not ready without another trouble: their probe fails


@dataclass(frozen=True)
class Standing:
    """How a workload stands. `health`: healthy, progressing, degraded (a trouble that may pass), failing, suspended."""

    health: str
    sentence: str


def standing(
    kind: str,
    body: Json,
    judgement: Judgement,
    pods: Sequence[Json],
    events: Mapping[str, Sequence[Json]],
    wall: float,
) -> Standing:
    """How a workload stands. `judgement`: by its own status; `pods`: its current ones; `events`: Warnings by the uid of
    what they are about, oldest first; `wall`: the time now, in seconds since the epoch."""
    if (body.get("spec") or {}).get("paused"):
        return Standing("suspended", judgement.sentence)
    is_well = judgement.progress == Progress.READY
    found = [pair for pod in pods for pair in _of_pod(pod, events.get(_uid(pod), ()), is_well, wall)]
    found += _refused(kind, body, events.get(_uid(body), ()), wall)
    doomed = [trouble for trouble, age in found if age >= _grace(trouble)]
    if judgement.progress == Progress.FAILED:
        cause = min(doomed, key=_order, default=None)
        return Standing("failing", f"{judgement.sentence}: {cause.sentence}" if cause else judgement.sentence)
    if doomed:
        return Standing("failing", min(doomed, key=_order).sentence)
    if found:
        return Standing("degraded", min((trouble for trouble, _ in found), key=_order).sentence)
    if is_well:
        return Standing("healthy", judgement.sentence)
    return _not_ready(kind, body, judgement, pods, events, wall)


def _of_pod(pod: Json, events: Sequence[Json], is_well: bool, wall: float) -> list[tuple[Trouble, float]]:
    """The troubles of a pod that count now, with their ages."""
    troubles = troubles_of(pod, events, limits=_LIMITS, forgiven=_forgiven(pod, wall))
    if is_well:  # nothing is missing: an evicted pod has been replaced
        troubles = [trouble for trouble in troubles if trouble.topic not in ("evicted", "unschedulable")]
    age = _unready_for(pod, wall)
    return [(t, age) for t in troubles if not (t.topic == "crash" and t.grace == NEVER)]


def _forgiven(pod: Json, wall: float) -> dict[str, int]:
    """By container, the ends that are over and done with."""
    return {str(status.get("name", "")): _past_ends(status, wall) for status, _ in statuses_of(pod)}


def is_calm(pod: Json, wall: float) -> bool:
    """Whether no end of its containers counts now."""
    lasting, past = exits_of_pod(pod), _forgiven(pod, wall)
    return all(exits <= past[name] for name, exits in lasting.items())


def _past_ends(container: Json, wall: float) -> int:
    ended, exits = ended_state(container), exits_of(container)
    life = age_of(ended.get("startedAt"), wall) - age_of(ended.get("finishedAt"), wall)
    running = (container.get("state") or {}).get("running") or {}
    if running and age_of(running.get("startedAt"), wall) >= min(_NEW_SERIES, max(_CALM, 2 * life)):
        return exits
    return exits - 1 if ended and life >= _NEW_SERIES else 0


def _unready_for(pod: Json, wall: float) -> float:
    """Seconds since when the pod is not ready; 0 while it is."""
    if is_ready(pod):
        return 0.0
    since = condition(pod, "Ready").get("lastTransitionTime") or pod["metadata"].get("creationTimestamp")
    return age_of(since, wall)


def _refused(kind: str, body: Json, events: Sequence[Json], wall: float) -> list[tuple[Trouble, float]]:
    """Pods that may not be created."""
    recent = [event for event in events if age_of(event_time(event), wall) < _NEW_SERIES]
    message = refused_pods(kind, body, recent)
    if not message:
        return []
    since = condition(body, "ReplicaFailure").get("lastTransitionTime")
    since = since or (recent[-1].get("firstTimestamp") if recent else None)
    sentence = f"its pods cannot be created: {message}"
    hint = "Check the namespace's quota and policies."
    trouble = Trouble("", _uid(body), "refused", "FailedCreate", _LIMITS.pod_refused, sentence, hint)
    return [(trouble, age_of(since, wall))]


def _not_ready(
    kind: str,
    body: Json,
    judgement: Judgement,
    pods: Sequence[Json],
    events: Mapping[str, Sequence[Json]],
    wall: float,
) -> Standing:
    """Pods that are not ready, and nothing else is wrong with them. While they are rolled out, that is progress."""
    late = [pod for pod in pods if not failed_by_its_node(pod) and _unready_for(pod, wall) >= _NOT_READY]
    if not late or not _is_rolled_out(kind, body):
        return Standing("progressing", judgement.sentence)
    said = [
        e.get("message") for pod in late for e in events.get(_uid(pod), ()) if e.get("reason") == "Unhealthy"
    ]
    words = " ".join(str(said[-1] or "").split())[:200] if said else "its pods run, and do not become ready"
    return Standing("failing", f"{judgement.sentence}: {words}")


def _is_rolled_out(kind: str, body: Json) -> bool:
    """Whether the newest pods have been ready before, so that what is missing is no rollout under way."""
    status = body.get("status") or {}
    if kind == "Deployment":
        return condition(body, "Progressing").get("reason") == "NewReplicaSetAvailable"
    if kind == "StatefulSet":
        return bool(status.get("updateRevision")) and status["updateRevision"] == status.get(
            "currentRevision"
        )
    return int(status.get("updatedNumberScheduled") or 0) >= int(status.get("desiredNumberScheduled") or 0)


def _grace(trouble: Trouble) -> float:
    return _NO_PLACE if trouble.grace == NEVER else trouble.grace


def _order(trouble: Trouble) -> tuple[int, int, str]:
    return rank(trouble), -trouble.exits, trouble.pod


def _uid(body: Json) -> str:
    return str(body["metadata"].get("uid") or "")
