"""What can be said of one container of one pod: a trouble, and the words that all troubles share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.types import Json

NEVER = math.inf  # grace of what is worth a word, but dooms nothing


@dataclass(frozen=True)
class Trouble:
    """One thing wrong with one pod. `topic` names it over time: reasons that take turns share a topic. `grace`: for how
    long it may last before the pod counts as doomed. `exits`: how often the container has ended in this rollout."""

    pod: str
    uid: str
    topic: str
    reason: str
    grace: float
    sentence: str
    hint: str = ""
    container: str = ""
    message: str = ""
    exit_code: int | None = None
    restarts: int = 0
    exits: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.uid, self.container, self.topic


@dataclass(frozen=True)
class Subject:
    """A container with a trouble: its pod, its status, and the message of the state it waits in."""

    pod: Json
    container: Json
    is_init: bool
    message: str = ""

    @property
    def name(self) -> str:
        return f"{'init container' if self.is_init else 'container'} {self.container.get('name', '')}"

    @property
    def spec(self) -> Json:
        """The container as the pod asks for it."""
        section = "initContainers" if self.is_init else "containers"
        for spec in (self.pod.get("spec") or {}).get(section) or []:
            if spec.get("name") == self.container.get("name"):
                return dict(spec)
        return {}

    @property
    def image(self) -> str:
        """The image as the pod asks for it: the status may show another name of it."""
        return str(self.spec.get("image") or self.container.get("image") or "")

    def trouble(
        self,
        topic: str,
        reason: str,
        grace: float,
        sentence: str,
        hint: str = "",
        *,
        exit_code: int | None = None,
        exits: int = 0,
    ) -> Trouble:
        metadata = self.pod["metadata"]
        return Trouble(
            metadata["name"],
            metadata.get("uid", ""),
            topic,
            reason,
            grace,
            sentence,
            hint,
            str(self.container.get("name", "")),
            self.message,
            exit_code,
            int(self.container.get("restartCount") or 0),
            exits,
        )


def times(count: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def ended_state(container: Json) -> Json:
    """How the container ended, now or last time; empty when it never did."""
    for section in ("state", "lastState"):
        if ended := (container.get(section) or {}).get("terminated"):
            return dict(ended)
    return {}
