"""The pods of a target as they are shown while it is waited for, and what the log is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.health.awaited import pods_shown
from engine.limits import Limits
from engine.rollout.targets import Target, wanted_pods
from engine.types import Json, PodsShown

_MOST_LINES = 20  # in the log, about the pods of one object
_WITHOUT = ("Service", "CustomResourceDefinition")


def shown_pods(
    target: Target, body: Json | None, events: dict[str, list[Json]], limits: Limits
) -> PodsShown | None:
    """The new pods of a target; what was last seen of them where the object itself is gone. `events`: Warnings by the uid of
    what they are about."""
    if body is None or target.ref.kind in _WITHOUT:
        return target.shown
    if target.ref.kind == "Job":
        spec, status = body.get("spec") or {}, body.get("status") or {}
        found = pods_shown(target.pods, int(spec.get("completions") or 1), events, limits)
        return replace(found, ready=int(status.get("succeeded") or 0))
    wanted = 1 if target.ref.kind == "Pod" else wanted_pods(target.ref.kind, body)
    return pods_shown(target.pods, wanted, events, limits)


def what_pods_wait_for(target: Target) -> Iterator[str]:
    """Lines for the log: each answer of a probe, once for each object."""
    told = sum(1 for words in target.told if " probe: " in words)
    for note in target.shown.waiting if target.shown else ():
        words = f"{note.waits}: {note.said}"
        is_answer = note.waits.endswith(" probe") and note.said
        if is_answer and words not in target.told and told < _MOST_LINES:
            told += 1
            target.told.add(words)
            yield f"pod {note.name} waits for its {words}"
