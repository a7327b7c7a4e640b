"""Pods of a workload that may not be created, over time: a rolling update at the edge of a quota is refused pods for a
moment, and goes on when old ones leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.health.pods import is_ready
from engine.health.trouble import Trouble
from engine.limits import Limits
from engine.rollout.targets import Target
from engine.types import Json

_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "currentNumberScheduled", "numberReady")


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
        target.refused = (0.0, "")
        return Refused()
    status = body.get("status") or {}
    counts = str([status.get(name) for name in _COUNTS])
    if target.refused[1] != counts:
        target.refused = (now, counts)
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
    starting = not all(is_ready(pod) for pod in target.pods)
    has_lasted = now - target.refused[0] >= limits.pod_refused
    return Refused((trouble,), has_lasted and not leaving and not starting)
