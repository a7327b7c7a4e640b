"""Which troubles of which pods fail a workload. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from engine.health.pods import failed_by_its_node
from engine.health.trouble import Trouble
from engine.types import Json


def decisive(kind: str, pods: Sequence[Json], doomed: Sequence[Trouble], *, stuck: bool) -> Trouble | None:
    """The trouble that fails a workload, if any. `doomed`: troubles whose grace is over; `stuck`: the rollout
    has not grown for a while.

    A StatefulSet waits for each pod, and a Job or bare pod has no second one: there one doomed pod decides.
    Elsewhere all current pods must be doomed, or one while the others get nowhere (one bad node must not fail a
    release).
    """
    if not doomed:
        return None
    pods = [pod for pod in pods if not failed_by_its_node(pod)]
    first = min(doomed, key=lambda trouble: (rank(trouble), -trouble.exits, trouble.pod))
    if kind in ("StatefulSet", "Job", "Pod"):
        return first
    lost = {trouble.uid for trouble in doomed}
    if stuck or all(pod["metadata"].get("uid", "") in lost for pod in pods):
        return first
    return None


def crash_of_many(troubles: Sequence[Trouble], exits: int) -> set[str]:
    """Containers that ended on two pods or more, and on one of them `exits` times: no further grace for them."""
    pods: dict[str, set[str]] = {}
    for trouble in troubles:
        if trouble.topic == "crash":
            pods.setdefault(trouble.container, set()).add(trouble.uid)
    often = {t.container for t in troubles if t.topic == "crash" and t.exits >= exits}
    return {container for container, uids in pods.items() if len(uids) > 1 and container in often}


def rank(trouble: Trouble) -> int:
    """Causes before consequences."""
    order = ("image", "config", "start", "crash", "failed", "mount", "refused", "evicted", "unschedulable")
    return order.index(trouble.topic) if trouble.topic in order else len(order)
