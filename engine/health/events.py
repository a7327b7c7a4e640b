"""Times that the cluster wrote. Pure functions over the API's JSON."""

from __future__ import annotations

from datetime import datetime

from engine.types import Json


def event_time(event: Json) -> str:
    """When an event was last seen; old and new ones keep it in different places."""
    series = event.get("series") or {}
    times = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return next((str(time) for time in times if time), str(event["metadata"].get("creationTimestamp") or ""))


def age_of(stamp: object, wall: float) -> float:
    """Seconds since a time that the cluster wrote, by our clock; 0 when the cluster's is ahead, or where it says none."""
    try:
        return max(0.0, wall - datetime.fromisoformat(str(stamp)).timestamp())
    except ValueError:
        return 0.0
