"""Times as Kubernetes writes them."""

from __future__ import annotations

import datetime


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def stamp(when: datetime.datetime | None = None) -> str:
    """`metav1.Time`: whole seconds. Now, when no time is given."""
    return (when or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(when: datetime.datetime | None = None) -> str:
    """`metav1.MicroTime`, as in leases; also good for log lines (RFC 3339)."""
    return (when or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime.datetime:
    """Either of the two above. Raises ValueError."""
    return datetime.datetime.fromisoformat(text)


def go_duration(seconds: float) -> str:
    """A duration as Go prints it in events: `312ms`, `1.204s`."""
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.3f}s"
