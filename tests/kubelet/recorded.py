"""What a real kubelet showed, as data, and the same view of pods that are watched now: to hold one against the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_FILE = Path(__file__).parent / "recorded.json"


@dataclass(frozen=True)
class Moment:
    """What is seen of a pod from `at` on: its phase, whether it is ready, one container's state and restarts."""

    at: float
    phase: str
    ready: bool
    state: str  # running, terminated Error, waiting CrashLoopBackOff
    restarts: int

    @property
    def shown(self) -> tuple[str, bool, str, int]:
        return self.phase, self.ready, self.state, self.restarts


@dataclass(frozen=True)
class Behaviour:
    """One recorded pod. `container`: what of its specification matters; `moments`: in order, each unlike the one before."""

    name: str
    container: Json
    volumes: list[Json]
    moments: list[Moment]
    events: list[tuple[float, str]]  # `Warning BackOff`, when it was first posted

    def until(self, seconds: float) -> list[Moment]:
        return [moment for moment in self.moments if moment.at <= seconds]


@cache
def behaviours() -> dict[str, Behaviour]:
    """All recorded ones, by name."""
    recorded = json.loads(_FILE.read_text())["behaviours"]
    return {name: _behaviour(name, entry) for name, entry in recorded.items()}


def _behaviour(name: str, entry: Json) -> Behaviour:
    spec = entry["spec"]
    which = "init migrate" if spec.get("init") else "container app"
    held: Json = {}
    moments = []
    for at, change in entry["pod"]:
        if isinstance(change, dict):
            held = {**held, **change}
            moments.append(
                Moment(
                    at,
                    held.get("phase", "Pending"),
                    str(held.get("condition Ready", "False")).startswith("True"),
                    _state(held.get(f"{which} state", "")),
                    int(held.get(f"{which} restartCount", 0)),
                )
            )
    first: dict[str, float] = {}
    for at, kind, reason, _count, _message in entry["events"]:
        first.setdefault(f"{kind} {reason}", at)
    events = [(at, what) for what, at in first.items()]
    return Behaviour(name, spec["container"], spec.get("volumes", []), distinct(moments), events)


def _state(text: str) -> str:
    """`terminated Error exit 3` as `terminated Error`, `waiting CrashLoopBackOff: back-off …` as `waiting CrashLoopBackOff`."""
    return re.sub(r" exit \d+$", "", text.partition(":")[0])


def moment_of(pod: Json, at: float, container: str) -> Moment:
    """What is seen of a live pod."""
    status = pod.get("status") or {}
    entries = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    entry = next((one for one in entries if one["name"] == container), {})
    state = entry.get("state") or {}
    word = next(iter(state), "")
    reason = (state.get(word) or {}).get("reason", "")
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
    text = f"{word} {reason}".strip()
    return Moment(at, status.get("phase", "Pending"), ready, text, int(entry.get("restartCount") or 0))


def distinct(moments: Iterable[Moment]) -> list[Moment]:
    """Without those that show the same as the one before, and without what comes before a container has a state."""
    found: list[Moment] = []
    for moment in moments:
        if moment.state and (not found or found[-1].shown != moment.shown):
            found.append(moment)
    return found
