"""What is wrong with one pod, by its status and the events about it. Pure functions over the API's JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from engine.health.containers import grace_of, troubles_of_container
from engine.health.crashes import statuses_of
from engine.health.trouble import NEVER, Trouble, ended_state
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


def failed_by_its_node(pod: Json) -> bool:
    """Whether the pod is over for a reason that says nothing about the release: its controller makes another."""
    status = pod.get("status") or {}
    return status.get("phase") == "Failed" and status.get("reason") in _NODE_FAULTS


def troubles_of(
    pod: Json,
    events: Sequence[Json] = (),
    *,
    limits: Limits,
    fresh: Mapping[tuple[str, str], float] = MappingProxyType({}),
    forgiven: Mapping[str, int] = MappingProxyType({}),
) -> list[Trouble]:
    """Everything wrong with a pod. `events`: those about it; `fresh`: graces by kind and name of Secrets and ConfigMaps
    that this deploy wrote; `forgiven`: ends, by container, that are no concern of this rollout."""
    if pod["metadata"].get("deletionTimestamp"):
        return []
    found = [*_of_pod(pod)]
    if not failed_by_its_node(pod):
        for container, is_init in statuses_of(pod):
            found += troubles_of_container(pod, container, is_init, events, limits, fresh, forgiven)
    if not found:
        found += _of_events(pod, events, limits, fresh)
    return found


def _of_pod(pod: Json) -> Iterator[Trouble]:
    name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
    status = pod.get("status") or {}
    reason = status.get("reason") or "Failed"
    if failed_by_its_node(pod):
        message = status.get("message") or "it gave no reason"
        what = "was evicted" if reason == "Evicted" else f"was ended by its node ({reason})"
        hint = "Look at what its pods ask for and use (memory, disk), and at their nodes."
        yield Trouble(
            name, uid, "evicted", reason, NEVER, f"pod {name} {what}: {message}", hint, message=message
        )
    elif status.get("phase") == "Failed":
        message = status.get("message") or _exit_words(pod)
        yield Trouble(name, uid, "failed", reason, 0, f"pod {name} failed: {message}", message=message)
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        yield _unschedulable(pod, scheduled.get("message") or "")


def _unschedulable(pod: Json, message: str) -> Trouble:
    """A pod that waits for a place. It dooms nothing: an autoscaler may bring a node at any time."""
    lacks = _PREEMPTION.sub("", message).strip().removesuffix(".") or "no node fits"
    asked = ", ".join(_requests(pod))
    sentence = f"no node can take the pod yet: {lacks}" + (f" (it asks for {asked})" if asked else "")
    hint = (
        "Lower what the pods ask for (resources, node selectors, tolerations), or add nodes; "
        "an autoscaler may be adding one."
    )
    name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
    return Trouble(name, uid, "unschedulable", "Unschedulable", NEVER, sentence, hint, message=message)


_PREEMPTION = re.compile(r"\s*(no new claims to deallocate,\s*)?preemption: .*", re.S)


def _requests(pod: Json) -> Iterator[str]:
    """What each container asks for: `memory 900Gi`."""
    for container in (pod.get("spec") or {}).get("containers") or []:
        requests = (container.get("resources") or {}).get("requests") or {}
        yield from (f"{name} {amount}" for name, amount in sorted(requests.items()))


_MOUNT_MISSING = re.compile(
    r'(secret|configmap) "([^"]+)" not found|references non-existent (secret|config) key', re.I
)


def _of_events(
    pod: Json, events: Sequence[Json], limits: Limits, fresh: Mapping[tuple[str, str], float]
) -> Iterator[Trouble]:
    """Volumes that cannot be mounted leave no reason in the pod's status, only events."""
    if (pod.get("status") or {}).get("phase") != "Pending":
        return
    name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
    for event in reversed(events):
        if event.get("reason") in ("FailedMount", "FailedAttachVolume"):
            message = event.get("message") or ""
            sentence = f"a volume of pod {name} cannot be mounted: {message[:200]}"
            hint = "Check that the Secret, ConfigMap or claim of the volume exists."
            grace = _mount_grace(message, limits, fresh)
            yield Trouble(name, uid, "mount", event["reason"], grace, sentence, hint, message=message)
            return


def _mount_grace(message: str, limits: Limits, fresh: Mapping[tuple[str, str], float]) -> float:
    match = _MOUNT_MISSING.search(message)
    if not match:
        return limits.mount
    return grace_of((match[1] or "").lower(), match[2] or "", fresh, limits.mount_missing)


def _exit_words(pod: Json) -> str:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        ended = ended_state(container)
        if ended.get("exitCode"):
            return f"container {container.get('name')} ended with exit code {ended['exitCode']}"
    return "it gave no reason"
