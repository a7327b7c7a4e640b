"""Workloads that do not replace their pods by themselves: paused Deployments, and those whose pods change when somebody
deletes them. The applied template runs nowhere until a person acts. Pure functions over the API's JSON."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import Json


@dataclass(frozen=True)
class Held:
    """Why pods are not replaced, in words that follow the workload's name; what a person does about it; and which field
    says so."""

    why: str
    hint: str
    field: str


_PAUSED = Held(
    "is paused",
    "Set spec.paused to false (or run kubectl rollout resume) to let the new pods start.",
    "spec.paused",
)
_ON_DELETE = Held(
    "replaces its pods only when they are deleted (OnDelete)",
    "Delete its pods one by one to let the new ones start, or set updateStrategy to RollingUpdate.",
    "spec.updateStrategy.type",
)


def held_back(kind: str, body: Json) -> Held | None:
    """Whether and why a workload keeps its pods as they are; None when it replaces them."""
    spec = body.get("spec") or {}
    if kind == "Deployment" and spec.get("paused"):
        return _PAUSED
    strategy = spec.get("updateStrategy") or {}
    if kind in ("StatefulSet", "DaemonSet") and strategy.get("type") == "OnDelete":
        return _ON_DELETE
    return None


def old_pods(kind: str, body: Json) -> tuple[int, int]:
    """How many pods do not run the present template, and how many there are, by the object's status."""
    status = body.get("status") or {}
    if kind == "DaemonSet":
        total, updated = _number(status, "currentNumberScheduled"), _number(status, "updatedNumberScheduled")
    else:
        total, updated = _number(status, "replicas"), _number(status, "updatedReplicas")
    current = status.get("currentRevision")
    if current and current == status.get("updateRevision"):
        updated = total  # a StatefulSet stops counting when all its pods are of one revision
    return max(0, total - updated), total


def what_is_held(kind: str, body: Json) -> str:
    """How many pods do not run the applied template, in words that follow the workload's name; empty when all pods run it,
    or when the workload replaces its pods by itself."""
    held = held_back(kind, body)
    old, total = old_pods(kind, body)
    if held is None:
        return ""
    if held is _PAUSED and not total and (body.get("spec") or {}).get("replicas") != 0:
        return f"{held.why}: none of its pods is made"
    verb = "runs" if old == 1 else "run"
    return f"{held.why}: {old} of {total} pods still {verb} what ran before" if old else ""


def held_words(kind: str, name: str, text: str, *, still: bool) -> str:
    """The sentence about such a workload. `text`: from `what_is_held`; `still`: this deploy did not change it."""
    return f"{kind} {name} is still held back: it {text}." if still else f"{kind} {name} {text}."


def warning_before(kind: str, name: str, live: Json | None, result: Json) -> tuple[str, Held] | None:
    """The warning before a deploy changes such a workload, or leaves it with pods of before; None when it replaces its pods by
    itself. `live`: None for a new one; `result`: as it will be."""
    held = held_back(kind, result)
    if held is None or (live is None and held is _ON_DELETE):
        return None
    if live is not None and _template(live) == _template(result):
        text = what_is_held(kind, {**live, "spec": result.get("spec")})
        return (held_words(kind, name, text, still=True), held) if text else None
    what = (
        "no pod of it is made"
        if live is None
        else "its pods stay as they are, and nothing of this change runs"
    )
    return f"{kind} {name} {held.why}: {what}.", held


def _template(body: Json) -> object:
    return (body.get("spec") or {}).get("template")


def _number(status: Json, name: str) -> int:
    return int(status.get(name) or 0)
