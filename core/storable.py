"""Makes texts from outside storable in every supported database.

Programs write NUL into their logs, and JSON can hold half of a surrogate pair. PostgreSQL refuses both, SQLite the
second. Such a character in a pod's log must not fail a deploy.
"""

from __future__ import annotations

from typing import Any


def storable_text(text: str) -> str:
    """`text` without NUL, with `?` for each half of a surrogate pair."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def storable(value: Any) -> Any:
    """`value` (as JSON knows it) with every text inside it storable."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value
