"""How long the engine waits for what, in seconds, and after how many ends a container counts as crashing. All of it can be
set, so that tests need not wait.

Where a number comes from is said beside it. "Recorded" means the timelines of a real kubelet in
tests/kubelet/recorded.json (Kubernetes 1.37 with containerd); docs/engine.md explains the rules that use the numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.types import TIMEOUT_ANNOTATION, Json, Manifest

_TIMEOUTS = {
    "StatefulSet": 600.0,
    "DaemonSet": 600.0,
    "ReplicaSet": 600.0,
    "Job": 600.0,
    "Pod": 600.0,
    "Service": 420.0,
    "CustomResourceDefinition": 60.0,
}
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
LONGEST_SETTLE = 600.0  # more would be monitoring, not a deploy
JOB_BACK_OFF = (
    10.0  # the Job controller's pause after a first failed pod; doubled with each (kube-controller-manager)
)
JOB_BACK_OFF_MAX = 600.0  # and its longest
POD_BACK_OFF_MAX = 300.0  # the kubelet's longest pause between two starts of a container


@dataclass(frozen=True)
class Limits:
    """Graces of troubles that may pass, thresholds, and timeouts by kind."""

    # A ready container without a probe that ends after T seconds shows it at T + 0.3 to 1.1 s (recorded: crash-at-once,
    # crash-after-2s, crash-after-8s): 10 s find those that end within 8.
    settle: float = 10.0
    # The first restart comes at once (recorded: after 0.1 to 0.5 s), the second after a pause of 10 s.
    crash_exits: int = 2
    first_exit: float = 60.0  # ended once, not started again: an init container's image, a slow node
    # `not found`, 401, 403: the registry's own answer; asking again 10 to 16 s later gave the same (recorded: wrong-tag,
    # wrong-credential, no-pull-secret).
    image_missing: float = 0.0
    image_tries: int = (
        2  # any other refusal may be a blip; the second try comes after 10 to 16 s (registry-down)
    )
    image_other: float = (
        60.0  # where the tries cannot be counted (no right to read events): surely the second
    )
    # The program is not in the image: the runtime says so at the first start (recorded: command-not-found).
    program_missing: float = 0.0
    cannot_start: float = 60.0  # RunContainerError, CreateContainerError and hooks, for other reasons
    # A Secret or ConfigMap, or a key of one, that is missing: the kubelet looks again 12 to 15 s later (recorded:
    # missing-secret, missing-configmap-key), and an operator may be about to make it.
    config_missing: float = 15.0
    config_fresh: float = 30.0  # written by this deploy a moment ago: two looks of the kubelet
    # A controller is about to make it from another object of this deploy. An operator that first starts a database, and
    # an ACME order, take minutes.
    config_awaited: float = 300.0
    mount_missing: float = 15.0  # the same for volumes (recorded: missing-configmap-volume)
    mount: float = 120.0  # any other volume that cannot be mounted: a disk may still hang at the old node
    # Refusals from before the first write: the kubelet's longest pauses between two tries, and one of its looks.
    old_image: float = 315.0
    old_mount: float = 135.0
    # Ends from before the first write: beyond the kubelet's pause before the next start, one of its looks.
    old_end: float = 15.0
    pod_refused: float = 30.0  # no pod may be created (quota, policy): heals when old pods leave
    old_deadline: float = 30.0  # a progress deadline that was over before: two looks of the kubelet
    quorum: float = 30.0  # one pod failed while the others make no progress
    gather: float = 1.0  # after the first failure, to see what else fails
    silence: float = 120.0  # the cluster does not answer at all
    timeouts: dict[str, float] = field(default_factory=lambda: dict(_TIMEOUTS))
    timeout: float = 300.0  # of other kinds
    deadline_margin: float = (
        30.0  # beyond the cluster's own deadline (progressDeadlineSeconds, activeDeadlineSeconds)
    )


def timeout_of(manifest: Manifest, limits: Limits) -> float:
    """How long an object may take: its annotation, the deadline that it names itself, or the kind's default."""
    own = parse_duration(
        str((manifest.body["metadata"].get("annotations") or {}).get(TIMEOUT_ANNOTATION, ""))
    )
    if own is not None:
        return own
    spec: Json = manifest.body.get("spec") or {}
    if manifest.ref.kind == "Deployment":
        return float(spec.get("progressDeadlineSeconds") or 600) + limits.deadline_margin
    if manifest.ref.kind == "Job" and spec.get("activeDeadlineSeconds"):
        return float(spec["activeDeadlineSeconds"]) + limits.deadline_margin
    return limits.timeouts.get(manifest.ref.kind, limits.timeout)


def pause_after(ends: int) -> float:
    """The kubelet's pause before a container starts again that has ended so often: none, then 10, 20, 40 … s."""
    return 0.0 if ends < 2 else min(POD_BACK_OFF_MAX, JOB_BACK_OFF * 2 ** min(ends - 2, 10))


def parse_duration(text: str) -> float | None:
    """Seconds of `90`, `90s`, `10m`, `1h30m`; None for anything else and for nothing."""
    return _seconds(text) or None


def parse_settle(text: str) -> float | None:
    """Seconds of a settle time, which may be 0; None for anything that is no duration of at most ten minutes."""
    seconds = _seconds(text)
    return None if seconds is None or seconds > LONGEST_SETTLE else seconds


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)
