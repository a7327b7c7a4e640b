"""Errors that the portal itself raises: something a person asked for is not done, and the reason can be shown."""

from __future__ import annotations

from engine.errors import SlipwayError


class Refused(SlipwayError):
    """What was asked for is not allowed or not possible now. Nothing was changed.

    `code` is a short stable word for machines (API, command line): role, busy, unknown-revision, …
    `ask`: who could allow it, as text, or empty.
    """

    def __init__(self, message: str, *, hint: str = "", code: str = "refused", ask: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.ask = ask


class Stale(Refused):
    """Somebody else changed the thing since the form was opened (optimistic lock)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, code="stale")
