"""Times as the API server writes them."""

from __future__ import annotations

import datetime


def stamp(seconds_from_now: float = 0.0) -> str:
    """`2026-01-31T12:00:00Z`."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def since(text: str) -> float:
    """Seconds since a time that `stamp` wrote; 0 for none."""
    if not text:
        return 0.0
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (datetime.datetime.now(datetime.UTC) - moment).total_seconds()
