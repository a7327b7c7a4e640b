"""How long the engine waits for what, in seconds. All of it can be set, so that tests need not wait."""

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


@dataclass(frozen=True)
class Limits:
    """Grace periods of troubles that may pass (a registry's blip is none of the release's faults), and timeouts
    by kind."""

    image_missing: float = 20.0  # the registry says that there is no such image, or that we may not have it
    image_other: float = 120.0  # any other trouble with the registry
    crashing: float = 60.0  # in back-off, but restarted fewer than `crash_restarts` times
    crash_restarts: int = 2
    cannot_start: float = 60.0  # RunContainerError, CreateContainerError, PostStartHookError
    config_missing: float = 30.0  # a Secret or ConfigMap that this deploy may have written a moment ago
    mount: float = 120.0  # a volume that cannot be mounted
    unschedulable_warning: float = 15.0
    unschedulable: float = 180.0
    quorum: float = 30.0  # one pod failed while the others make no progress
    settle: float = 1.0  # after the first failure, to see what else fails
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


def parse_duration(text: str) -> float | None:
    """Seconds of `90`, `90s`, `10m`, `1h30m`; None for anything else and for nothing."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds) or None
