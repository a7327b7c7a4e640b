"""Policies of an environment as its form gives them: merged into the one column that keeps them."""

from __future__ import annotations

from typing import Any

from engine.limits import LONGEST_SETTLE
from projects import editing
from projects.models import LONGEST_WATCH

# Switches that are kept in Environment.policies.
POLICIES = ("automatic_rollback", "no_min_ready", "secret_requests")
# Seconds kept there, with the most that each may be; None means the default.
NUMBERS = {"settle_seconds": int(LONGEST_SETTLE), "watch_seconds": LONGEST_WATCH}


def with_policies(values: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """`values` with its policies moved into `policies`, merged with the stored ones (`held`). A switch that is off and a
    number that has its default are absent."""
    switched: dict[str, Any] = {name: bool(values[name]) or None for name in POLICIES if name in values}
    switched |= {name: _seconds(name, values[name]) for name in NUMBERS if name in values}
    if not switched:
        return values
    others = {name: value for name, value in values.items() if name not in switched}
    merged = {**held, **values.get("policies", {}), **switched}
    return {
        **others, "policies": {name: value for name, value in merged.items() if value is not None and value is not False}
    }  # fmt: skip


def _seconds(name: str, value: Any) -> int | None:
    """A number of seconds as policies keep it. Raises ValidationError."""
    most = NUMBERS[name]
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most):
        return value
    raise editing.refuse_field(**{name: f"Enter whole seconds from 0 to {most}, or nothing."})
