"""Parts of the page of one deploy: steps, objects with their pods, images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from deployments.models import Deploy, ObjectState, Release
from engine.types import ObjectRef
from runs.models import State, Step, StepState
from ui.words import duration

# Failed objects come first, then progressing ones; the rest stays in the order of the apply.
FIRST = {"failed": 0, "timed_out": 0, "progressing": 1, "stopped": 1}
UNDER_WAY = ("progressing", "pending")


@dataclass(frozen=True)
class StepView:
    """A step of the deploy, for `components/steps.html` and the log. `usual`: seconds that it takes as a rule, or None."""

    name: str
    state: str
    seconds: float | None
    started_at: datetime | None
    summary: str
    usual: float | None = None

    @property
    def percent(self) -> int | None:
        """How far a running step is by its usual time, never all of it; None where that is not known."""
        if self.state != StepState.RUNNING or not self.usual or self.started_at is None:
            return None
        passed = (timezone.now() - self.started_at).total_seconds()
        return min(95, round(100 * passed / self.usual))


def earlier_attempts(steps: Sequence[Step], newest: int) -> list[str]:
    """What each attempt before the newest one did: `Attempt 1: checkout 2 s, apply 14 s (its worker stopped).`"""
    done: dict[int, list[str]] = {}
    for step in steps:
        mine = {"attempt": step.attempt, "seconds": step.seconds, "finished": True}
        for one in [*step.earlier, *([mine] if step.seconds is not None else [])]:
            words = f"{step.name} {duration(one['seconds'])}"
            done.setdefault(one["attempt"], []).append(
                words if one["finished"] else f"{words} (its worker stopped)"
            )
    return [f"Attempt {number}: {', '.join(done[number])}." for number in sorted(done) if number < newest]


@dataclass(frozen=True)
class PodView:
    """A pod that is not ready (`engine.types.PodNote`). `age`, `waited`: texts, once the deploy has ended."""

    name: str
    phase: str
    since: datetime | None
    waits: str
    waits_since: datetime | None
    allowed: float
    said: str
    restarts: int
    age: str = ""
    waited: str = ""
    is_late: bool = False  # waits for longer than it is allowed


@dataclass(frozen=True)
class ObjectView:
    """A row of the table of objects. `ready`: `2/3`, its new pods; `pods`: those that are not ready, `more_pods`: not listed."""

    kind: str
    name: str
    namespace: str
    action: str
    progress: str
    sentence: str
    ready: str = ""
    pods: tuple[PodView, ...] = ()
    more_pods: int = 0

    @property
    def stays(self) -> bool:
        """Whether the object is unchanged and ready."""
        return self.action == "unchanged" and self.progress not in FIRST


@dataclass(frozen=True)
class ImageView:
    """An image of the release. `digest`: its first characters, or empty."""

    name: str
    reference: str
    digest: str


def images_of(release: Release | None) -> list[ImageView]:
    """The images of the release, by name."""
    if release is None:
        return []
    return [
        ImageView(name, f"{pin['repository']}:{pin['tag']}", str(pin.get("digest", ""))[:19])
        for name, pin in sorted(release.images.items())
    ]


def object_view(row: ObjectState, deploy: Deploy) -> ObjectView:
    """The row of one object. After the end of the deploy nothing is under way any more, and the cause stands above."""
    ref = ObjectRef.parse(row.ref)
    progress, sentence = row.progress, row.sentence
    if not deploy.is_open and progress in UNDER_WAY:
        progress, sentence = "stopped", _stopped(deploy, sentence)
    elif sentence and sentence in deploy.result:
        sentence = "the cause stands above"
    shown = row.pods or {}
    pods = tuple(pod_view(note, deploy.ended_at) for note in shown.get("waiting", ()))
    return ObjectView(
        ref.kind, ref.name, ref.namespace, row.action, progress, sentence,
        f"{shown['ready']}/{shown['wanted']}" if shown else "", pods if progress in FIRST else (), shown.get("more", 0),
    )  # fmt: skip


def _stopped(deploy: Deploy, sentence: str) -> str:
    """What became of an object whose rollout was under way at the end."""
    how = "it was stopped" if deploy.state == State.CANCELLED else "the deploy ended"
    return f"was being changed when {how}" + (f": {sentence}" if sentence else "")


def pod_view(note: dict[str, Any], ended: datetime | None) -> PodView:
    """A pod as its row keeps it. `ended`: the end of the deploy; what counts stops there."""
    since, waits_since = moment(note["since"]), moment(note["waits_since"])
    waited = ((ended or timezone.now()) - waits_since).total_seconds() if waits_since else 0.0
    return PodView(
        note["name"], note["phase"], since, note["waits"], waits_since, note["allowed"], note["said"], note["restarts"],
        _passed(since, ended), _passed(waits_since, ended), is_late=0 < note["allowed"] < waited,
    )  # fmt: skip


def _passed(since: datetime | None, ended: datetime | None) -> str:
    return duration((ended - since).total_seconds()) if since and ended else ""


def moment(text: str) -> datetime | None:
    """A time that the cluster wrote; None where it wrote none, or none that can be read."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
