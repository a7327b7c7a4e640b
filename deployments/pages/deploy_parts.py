"""Parts of the page of one deploy: steps, objects, images, and the notice about a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployments.models import Deploy, ObjectState, Release
from engine.types import ObjectRef
from runs.models import State, Step
from ui.words import duration

TROUBLE = (State.FAILED, State.ERRORED, State.TIMED_OUT, State.ABANDONED)
# Failed objects come first, then progressing ones; the rest stays in the order of the apply.
FIRST = {"failed": 0, "timed_out": 0, "progressing": 1}


@dataclass(frozen=True)
class StepView:
    """A step of the deploy, for `components/steps.html` and the log."""

    name: str
    state: str
    seconds: float | None
    started_at: datetime | None
    summary: str


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
class ObjectView:
    """A row of the table of objects."""

    kind: str
    name: str
    namespace: str
    action: str
    progress: str
    sentence: str

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


def object_view(row: ObjectState) -> ObjectView:
    """The row of one object."""
    ref = ObjectRef.parse(row.ref)
    return ObjectView(ref.kind, ref.name, ref.namespace, row.action, row.progress, row.sentence)


def trouble(deploy: Deploy) -> dict[str, Any] | None:
    """The context of `components/failure.html`, or None when the deploy did not fail."""
    if deploy.state not in TROUBLE:
        return None
    proofs = [
        {**item, "title": item.get("pod") or item.get("ref")}
        for item in deploy.evidence
        if item.get("pod") or item.get("events") or item.get("logs") or item.get("previous_logs")
    ]
    others = [
        item["sentence"]
        for item in deploy.evidence
        if item.get("sentence") and item["sentence"] not in deploy.result
    ]
    return {
        "tone": deploy.state,
        "sentence": deploy.result,
        "hint": deploy.hint,
        "facts": [("Also", sentence) for sentence in others[:20]],
        "evidence": proofs,
    }
