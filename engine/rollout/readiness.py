"""Since when each pod is ready, and whether it has settled: been ready for the settle time without an end of one of its
containers.

A pod's time counts from the moment we saw it become ready. One that was ready before the first write is dated by its own
condition, so that a worker that takes over does not begin anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.health.crashes import exits_of_pod, statuses_of
from engine.health.events import age_of
from engine.health.pods import condition, is_ready
from engine.rollout.waits import Waits, still_waits, waits_of
from engine.types import Json

_LONG_RUNNING = (
    60.0  # seconds; what runs for longer is in no crash at its start, however often it ended before
)


@dataclass
class Seen:
    """What is known of one pod. `forgiven`: ends, by container, that are no concern of this rollout; `waits`: what it waited for
    before the first write."""

    exits: dict[str, int]
    forgiven: dict[str, int] = field(default_factory=dict)
    is_ready: bool = False
    ready_since: float = 0.0  # of the present readiness
    first_ready: float | None = None
    settled: bool = False
    waits: Waits = field(default_factory=Waits)


class Readiness:
    """The pods of a rollout over time."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._pods: dict[str, Seen] = {}

    def remember(self, pods: Iterable[Json]) -> None:
        """Take note of the pods that are there before the first write."""
        for pod in pods:
            seen = Seen(exits_of_pod(pod), dict(self._lasting(pod)))
            if is_ready(pod):
                since = self._clock() - self._age(condition(pod, "Ready").get("lastTransitionTime"))
                seen.is_ready, seen.ready_since, seen.first_ready = True, since, since
            seen.waits = waits_of(pod)
            self._pods[_uid(pod)] = seen

    def look(self, pod: Json, settle: float) -> Seen:
        """What is known of a pod now. `settle`: seconds for which it must be ready."""
        now, exits = self._clock(), exits_of_pod(pod)
        seen = self._pods.setdefault(_uid(pod), Seen(exits))
        if not is_ready(pod):
            seen.is_ready = False
        elif not seen.is_ready or exits != seen.exits:
            seen.is_ready, seen.ready_since = True, now
            seen.first_ready = now if seen.first_ready is None else seen.first_ready
        seen.exits, seen.waits = exits, still_waits(seen.waits, pod)
        if seen.is_ready and not seen.settled and now - seen.ready_since >= settle:
            seen.settled, seen.forgiven = True, exits
        return seen

    def _lasting(self, pod: Json) -> Iterable[tuple[str, int]]:
        """Containers that have been running for long, and how often they ended before that."""
        exits = exits_of_pod(pod)
        for status, _ in statuses_of(pod):
            running = (status.get("state") or {}).get("running") or {}
            if running and self._age(running.get("startedAt")) >= _LONG_RUNNING:
                yield str(status["name"]), exits.get(str(status["name"]), 0)

    def _age(self, stamp: object) -> float:
        return age_of(stamp, self._wall())


def _uid(pod: Json) -> str:
    return str(pod["metadata"].get("uid") or "")
