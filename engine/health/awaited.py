"""What a pod that is not ready waits for, as facts for people who watch. Pure functions over the API's JSON.

Times stay as the cluster wrote them: the facts are the same until something changes, and whoever shows them lets them grow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.health.crashes import is_sidecar, statuses_of
from engine.health.events import event_time
from engine.health.pods import condition, failed_by_its_node, is_ready, troubles_of
from engine.health.trouble import Trouble
from engine.limits import Limits
from engine.types import Json, PodNote, PodsShown

MOST_PODS = 5  # of one object: more explain nothing
LONGEST = 200  # characters of a text of the cluster
_PHASES = {  # by the topic of a trouble
    "image": "image not pulled",
    "config": "cannot start",
    "start": "cannot start",
    "mount": "waits for a volume",
    "unschedulable": "no node yet",
    "evicted": "evicted",
    "failed": "failed",
}


def pods_shown(pods: Sequence[Json], wanted: int, events: dict[str, list[Json]], limits: Limits) -> PodsShown:
    """The pods of an object: how many are ready, and what the others wait for, the longest waiting first. `wanted`: how many
    there should be; `events`: Warnings by the uid of what they are about."""
    there = [pod for pod in pods if not _is_over(pod)]
    late = sorted((pod for pod in there if not is_ready(pod)), key=_made)
    about = [sorted(events.get(_uid(pod), ()), key=event_time) for pod in late[:MOST_PODS]]
    notes = tuple(note_of(pod, told, limits) for pod, told in zip(late, about, strict=False))
    return PodsShown(sum(map(is_ready, there)), max(wanted, 0), notes, more=len(late) - len(notes))


def note_of(pod: Json, events: Sequence[Json], limits: Limits) -> PodNote:
    """What one pod that is not ready waits for. `events`: Warnings about it, oldest first."""
    found = troubles_of(pod, events, limits=limits)
    base = PodNote(str(pod["metadata"]["name"]), "starting", since=_made(pod), restarts=_restarts(pod))
    if found and found[0].topic != "crash":
        return _with(base, _PHASES.get(found[0].topic, "not ready"), said=_said_by(found[0]))
    if running := _unready(pod):
        status, spec = running
        return _probed(base, status, spec, events, found)
    if found:
        return _with(base, _phase_of_crash(pod), said=found[0].sentence)
    return _starting(base, pod)


def _probed(
    base: PodNote, status: Json, spec: Json, events: Sequence[Json], troubles: Sequence[Trouble]
) -> PodNote:
    """A container that runs and is not ready: its startup probe, then its readiness probe decides."""
    name = str(status.get("name", ""))
    kind = "startup" if spec.get("startupProbe") and status.get("started") is not True else "readiness"
    probe = spec.get(f"{kind}Probe") or {}
    since = str(((status.get("state") or {}).get("running") or {}).get("startedAt") or "")
    if not probe:
        said = troubles[0].sentence if troubles else ""
        return _with(base, "runs, not ready", said=said)
    said = newest_answer(events, kind, name) or (troubles[0].sentence if troubles else "")
    return _with(
        base,
        "runs, not ready",
        waits=f"{kind} probe",
        waits_since=since,
        allowed=allowance(probe),
        said=said,
    )


def allowance(probe: Json) -> float:
    """Seconds within which a probe is to pass: its delay, and as many periods as it may fail (Kubernetes' defaults: none, 10 s,
    3 times)."""
    period, threshold = int(probe.get("periodSeconds") or 10), int(probe.get("failureThreshold") or 3)
    return float(int(probe.get("initialDelaySeconds") or 0) + period * threshold)


def newest_answer(events: Sequence[Json], kind: str, container: str) -> str:
    """What a probe of a container said last, in short; empty when it has not failed."""
    start = f"{kind.capitalize()} probe "
    for event in reversed(events):
        field = str((event.get("involvedObject") or {}).get("fieldPath") or "")
        message = " ".join(str(event.get("message") or "").split())
        if event.get("reason") != "Unhealthy" or not message.startswith(start):
            continue
        if not field or field.endswith(f"{{{container}}}"):
            return short_answer(message[len(start) :])
    return ""


_STATUS = re.compile(r"statuscode: (\d+)")
_DIAL = re.compile(r"dial tcp \S*?:(\d+): .*?(connection refused|i/o timeout|no route to host)")


def short_answer(text: str) -> str:
    """A probe's answer without the kubelet's words around it: `HTTP 503`, `connection refused on port 8080`."""
    if status := _STATUS.search(text):
        return f"HTTP {status[1]}"
    if dial := _DIAL.search(text):
        return f"{dial[2]} on port {dial[1]}"
    if "deadline exceeded" in text or "timed out" in text:
        return "no answer in time"
    return _cut(text.partition(":")[2].strip() or "it fails")


def _starting(base: PodNote, pod: Json) -> PodNote:
    """A pod whose containers do not run yet, and nothing is known to be wrong."""
    status = pod.get("status") or {}
    for container, is_init in statuses_of(pod):
        state = container.get("state") or {}
        if is_init and "running" in state and not is_sidecar(pod, container):
            since = str((state["running"] or {}).get("startedAt") or "")
            return _with(base, "starting", waits=f"init container {container.get('name')}", waits_since=since)
    if condition(pod, "PodScheduled").get("status") != "True" and not (pod.get("spec") or {}).get("nodeName"):
        return _with(base, "no node yet")
    ready = status.get("phase") == "Running" and condition(pod, "ContainersReady").get("status") == "True"
    return _with(base, "runs, not ready", waits="readiness gate") if ready else base


def _unready(pod: Json) -> tuple[Json, Json] | None:
    """The status and the specification of the first container that runs and is not ready."""
    specs = {str(c.get("name")): c for c in _all_containers(pod)}
    for status, is_init in statuses_of(pod):
        runs = "running" in (status.get("state") or {})
        lasts = not is_init or is_sidecar(pod, status)
        if runs and lasts and not status.get("ready"):
            return status, specs.get(str(status.get("name")), {})
    return None


def _all_containers(pod: Json) -> Iterator[Json]:
    spec = pod.get("spec") or {}
    yield from spec.get("initContainers") or []
    yield from spec.get("containers") or []


def _phase_of_crash(pod: Json) -> str:
    states = [status.get("state") or {} for status, _ in statuses_of(pod)]
    return "ended" if any("terminated" in state for state in states) else "waits for its next start"


def _said_by(trouble: Trouble) -> str:
    """A trouble's sentence without what the row says anyway."""
    return trouble.sentence.removeprefix(f"pod {trouble.pod} ")


def _with(
    base: PodNote, phase: str, *, waits: str = "", waits_since: str = "", allowed: float = 0.0, said: str = ""
) -> PodNote:
    return PodNote(base.name, phase, base.since, waits, waits_since, allowed, _cut(said), base.restarts)


def _is_over(pod: Json) -> bool:
    """Whether a pod says nothing about what is waited for: on its way out, done, or ended by its node."""
    done = (pod.get("status") or {}).get("phase") == "Succeeded"
    return bool(done or pod["metadata"].get("deletionTimestamp") or failed_by_its_node(pod))


def _restarts(pod: Json) -> int:
    return sum(int(status.get("restartCount") or 0) for status, _ in statuses_of(pod))


def _made(pod: Json) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def _uid(pod: Json) -> str:
    return str(pod["metadata"].get("uid") or "")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
