"""Pods of a workload that may not be created, over time: a rolling update at the edge of a quota is refused pods for a
moment, and goes on when old ones leave.

They leave when new ones are available (`minReadySeconds`). Nobody tells the controller that there is room then: it tries
again by itself, after pauses that double. So its next try comes at the latest after as long as pods had been refused; where
that one is too early for the quota's own count, another one after twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.health.pods import is_ready
from engine.health.trouble import Trouble
from engine.limits import Limits
from engine.rollout.targets import Refusals, Target
from engine.types import Json

_TWO_TRIES = 2.5  # the second pause is twice the first one; we see a refusal a moment late
_COUNTS = (
    "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
    "currentNumberScheduled", "numberReady", "numberAvailable",
)  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """The trouble, if there is one. `for_good`: nothing that goes on can change it."""

    troubles: tuple[Trouble, ...] = ()
    for_good: bool = False


def judge_refusal(
    target: Target, body: Json, message: str, others: Sequence[Json], *, now: float, limits: Limits
) -> Refused:
    """What a refusal means now. `message`: the API server's, empty for none; `others`: pods of the workload that are not
    current. Notes in the target since when nothing has moved."""
    if not message:
        target.refused = None
        return Refused()
    status = body.get("status") or {}
    counts = str([status.get(name) for name in _COUNTS])
    if target.refused is None:
        target.refused = Refusals(now, now, counts)
    elif target.refused.counts != counts:
        target.refused = replace(target.refused, moved=now, counts=counts)
    trouble = Trouble(
        "",
        body["metadata"].get("uid") or "",
        "refused",
        "FailedCreate",
        limits.pod_refused,
        f"its pods cannot be created: {message}",
        "Check the namespace's quota and policies.",
        message=message,
    )
    leaving = any(pod["metadata"].get("deletionTimestamp") for pod in others)
    starting = not all(is_ready(pod) for pod in target.pods) or _some_are_not_available(status)
    grace = max(limits.pod_refused, _TWO_TRIES * (target.refused.moved - target.refused.since))
    has_lasted = now - target.refused.moved >= grace
    return Refused((trouble,), has_lasted and not leaving and not starting)


def _some_are_not_available(status: Json) -> bool:
    """Whether pods are ready, and not for long enough to take the place of old ones."""
    ready = int(status.get("readyReplicas") or status.get("numberReady") or 0)
    available = status.get("availableReplicas", status.get("numberAvailable"))
    return available is not None and ready > int(available)
