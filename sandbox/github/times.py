"""Times as GitHub writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The present, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
