"""Functions by which controllers read objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from engine.types import Json
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.selectors import value_at

_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def labels_of(body: Json) -> dict[str, str]:
    return body["metadata"].get("labels") or {}


def annotations_of(body: Json) -> dict[str, str]:
    return body["metadata"].get("annotations") or {}


def is_going(body: Json) -> bool:
    """Whether it is marked for deletion."""
    return "deletionTimestamp" in body["metadata"]


def is_over(pod: Json) -> bool:
    """Whether a pod has ended."""
    return value_at(pod, "status.phase") in ("Succeeded", "Failed")


def condition(body: Json, kind: str) -> Json:
    """A condition of an object's status, {} when it has none of that type."""
    return next((c for c in value_at(body, "status.conditions") or [] if c["type"] == kind), {})


def is_ready(body: Json) -> bool:
    """Whether a pod or a node is ready."""
    return condition(body, "Ready").get("status") == "True"


def available_in(pod: Json, seconds: float) -> float | None:
    """In how many seconds a ready pod counts as available: 0 for now, None as long as it is not ready."""
    if not is_ready(pod):
        return None
    return max(0.0, seconds - since(condition(pod, "Ready").get("lastTransitionTime", "")))


def pointer(body: Json) -> Json:
    """A reference to an object."""
    metadata = {k: body["metadata"][k] for k in ("namespace", "name", "uid") if k in body["metadata"]}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], **metadata}


def reference(owner: Json) -> Json:
    """The owner reference of a controller."""
    names = {k: v for k, v in pointer(owner).items() if k != "namespace"}
    return {**names, "controller": True, "blockOwnerDeletion": True}


def controller_of(body: Json) -> Json:
    """The reference to the object's controller, {} when it has none."""
    return next((r for r in body["metadata"].get("ownerReferences") or [] if r.get("controller")), {})


def template_hash(template: Json) -> str:
    """The short name of a pod template, in letters that make no words."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:5], "big")
    return "".join(_SAFE[number // len(_SAFE) ** place % len(_SAFE)] for place in range(9))


def share(value: object, total: int, *, up: bool) -> int:
    """A number, or a share such as `25%` of a total."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    part = int(text[:-1]) * total
    return -(-part // 100) if up else part // 100


def dated(body: Json, new: Iterable[Json]) -> list[Json]:
    """Conditions of an object with the time since when they have their status; a Deployment's also with that since
    when they say all they say. Times that they bring along are kept."""
    result = []
    for entry in new:
        last, now = condition(body, entry["type"]), stamp()
        same = last.get("status") == entry["status"]
        times = {"lastTransitionTime": last.get("lastTransitionTime", now) if same else now}
        if body["kind"] == "Deployment":
            same = {**last, **entry} == last
            times["lastUpdateTime"] = last.get("lastUpdateTime", now) if same else now
        result.append({**times, **entry})
    return result
