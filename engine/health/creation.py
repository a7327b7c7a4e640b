"""Pods that a controller may not create: quota, pod security, a name that is too long. Pure functions over the API's JSON.

A Deployment and a ReplicaSet have a condition for it; of a StatefulSet or DaemonSet only an event tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.health.pods import condition
from engine.types import Json

_LONGEST = 300  # characters of the message that are shown


def refused_pods(kind: str, body: Json, events: Sequence[Json]) -> str:
    """Why pods of the object cannot be created, in the API server's words; empty when none is missing. `events`: recent
    ones about the object, oldest first."""
    if kind in ("Deployment", "ReplicaSet"):
        refused = condition(body, "ReplicaFailure")
        return _short(refused.get("message")) if refused.get("status") == "True" else ""
    if kind not in ("StatefulSet", "DaemonSet") or not _is_short(kind, body):
        return ""
    failures = [event for event in events if event.get("reason") == "FailedCreate"]
    return _short(failures[-1].get("message")) if failures else ""


def _is_short(kind: str, body: Json) -> bool:
    """Whether pods are missing."""
    status = body.get("status") or {}
    if kind == "DaemonSet":
        return int(status.get("currentNumberScheduled") or 0) < int(status.get("desiredNumberScheduled") or 0)
    wanted = (body.get("spec") or {}).get("replicas")
    return int(status.get("replicas") or 0) < (1 if wanted is None else int(wanted))


def _short(message: object) -> str:
    text = " ".join(str(message or "no reason given").split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
