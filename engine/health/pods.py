"""What is wrong with one pod, by its status and the events about it. Pure functions over the API's JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from engine.health.containers import NEVER, Trouble, ended_state, troubles_of_container
from engine.limits import Limits
from engine.types import Json

_NODE_FAULTS = {  # a pod that failed for these reasons says nothing about the release; its controller makes another
    "Evicted",
    "Preempting",
    "NodeShutdown",
    "Shutdown",
    "Terminated",
    "NodeLost",
    "NodeAffinity",
    "UnexpectedAdmissionError",
    "OutOfcpu",
    "OutOfmemory",
    "OutOfpods",
}


def is_ready(pod: Json) -> bool:
    """Running and ready, and not on its way out."""
    status = pod.get("status") or {}
    return (
        status.get("phase") == "Running"
        and condition(pod, "Ready").get("status") == "True"
        and not pod["metadata"].get("deletionTimestamp")
    )


def condition(body: Json, kind: str) -> Json:
    """The status condition of that type, or an empty dict."""
    for entry in (body.get("status") or {}).get("conditions") or []:
        if entry.get("type") == kind:
            return entry
    return {}


def troubles_of(
    pod: Json,
    events: Sequence[Json] = (),
    *,
    limits: Limits,
    fresh: Collection[tuple[str, str]] = (),
    autoscaler: bool = False,
) -> list[Trouble]:
    """Everything wrong with a pod. `events`: those about it; `fresh`: kind and name of Secrets and ConfigMaps
    that this deploy wrote; `autoscaler`: whether nodes may still join."""
    if pod["metadata"].get("deletionTimestamp"):
        return []
    found = [*_of_pod(pod, autoscaler, limits)]
    status = pod.get("status") or {}
    for section, is_init in (("initContainerStatuses", True), ("containerStatuses", False)):
        for container in status.get(section) or []:
            found += troubles_of_container(pod, container, is_init, events, limits, fresh)
    if not found:
        found += _of_events(pod, events, limits)
    return found


def _of_pod(pod: Json, autoscaler: bool, limits: Limits) -> Iterator[Trouble]:
    name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
    status = pod.get("status") or {}
    if status.get("phase") == "Failed" and status.get("reason") not in _NODE_FAULTS:
        message = status.get("message") or _exit_words(pod)
        yield Trouble(
            name,
            uid,
            "failed",
            status.get("reason") or "Failed",
            0,
            f"pod {name} failed: {message}",
            message=message,
        )
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        message = scheduled.get("message") or "no node fits"
        yield Trouble(
            name,
            uid,
            "unschedulable",
            "Unschedulable",
            NEVER if autoscaler else limits.unschedulable,
            f"no node can take the pod: {message}",
            "Lower what the pods ask for (resources, node selectors, tolerations), or add nodes.",
            message=message,
            warn_after=limits.unschedulable_warning,
        )


def _of_events(pod: Json, events: Sequence[Json], limits: Limits) -> Iterator[Trouble]:
    """Volumes that cannot be mounted leave no reason in the pod's status, only events."""
    if (pod.get("status") or {}).get("phase") != "Pending":
        return
    name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
    for event in reversed(events):
        if event.get("reason") in ("FailedMount", "FailedAttachVolume"):
            message = event.get("message") or ""
            sentence = f"a volume of pod {name} cannot be mounted: {message[:200]}"
            hint = "Check that the Secret, ConfigMap or claim of the volume exists."
            yield Trouble(name, uid, "mount", event["reason"], limits.mount, sentence, hint, message=message)
            return


def _exit_words(pod: Json) -> str:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        ended = ended_state(container)
        if ended.get("exitCode"):
            return f"container {container.get('name')} ended with exit code {ended['exitCode']}"
    return "it gave no reason"
