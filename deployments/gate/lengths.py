"""How long the texts of people may be. A longer one is refused, never cut."""

from __future__ import annotations

from core.errors import Refused

LONGEST_REASON, LONGEST_OVERRIDE, LONGEST_MARK = 500, 300, 300


def require_short(text: str, most: int, done: str) -> None:
    """Raises Refused for a reason of more than `most` characters. `done`: what was not done, in a word."""
    if len(text) > most:
        raise Refused(
            f"A reason has at most {most} characters; this one has {len(text)}. Nothing was {done}.",
            code="reason",
        )


def require_reasons(reason: str, override: str = "") -> None:
    """Raises Refused for a reason, or a reason of an override, that is too long."""
    require_short(reason, LONGEST_REASON, "started")
    require_short(override.strip(), LONGEST_OVERRIDE, "started")
