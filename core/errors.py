"""Errors of the portal itself: it did not carry out a request, and the message may be shown to the person.

`STATUSES` is the only mapping from an error's code to an HTTP status; core/problems.py makes the answer from it.
"""

from __future__ import annotations

from engine.errors import SlipwayError

# Error code → HTTP status. Every code that is raised anywhere has a row here (tests/core/test_problems.py).
STATUSES: dict[str, int] = {
    "role": 403,
    "secret-right": 403,
    "refused": 403,
    "not-allotted": 403,
    "setup-link": 403,
    "unknown": 404,
    "unknown-user": 404,
    "archived": 409,
    "bad-release": 409,
    "busy": 409,
    "ended": 409,
    "exists": 409,
    "in-use": 409,
    "last-admin": 409,
    "no-release": 409,
    "no-rollback": 409,
    "plan-changed": 409,
    "not-verified": 409,
    "open": 409,
    "stale": 409,
    "build-failed": 422,
    "no-image": 422,
    "no-images": 422,
    "reason": 422,
    "secret-versions": 422,
    "unknown-branch": 422,
    "unknown-revision": 422,
    "manifest": 422,
    "not-deployable": 422,
    "not-editable": 422,
    "not-replayable": 422,
    "too-many-streams": 429,
    # The portal's own fault, or its settings'.
    "failed": 500,
    "cannot-decrypt": 500,
    "database-busy": 503,
    "database-away": 503,
    # An outside system: it answers wrongly, limits our requests, or does not answer in time.
    "outside": 502,
    "outside-conflict": 502,
    "outside-denied": 502,
    "outside-invalid": 502,
    "outside-not-found": 502,
    "outside-unavailable": 502,
    "outside-busy": 503,
    "outside-timeout": 504,
}
UNKNOWN_CODE = 500


def status_of(error: SlipwayError) -> int:
    """The HTTP status of an error, by its code."""
    return STATUSES.get(error.code, UNKNOWN_CODE)


class Refused(SlipwayError):
    """The request is not allowed, or not possible now. Nothing was changed.

    `code`: a key of STATUSES. `ask`: the names of people who can allow it, as text, or empty.
    """

    def __init__(self, message: str, *, hint: str = "", code: str = "refused", ask: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.ask = ask


class Stale(Refused):
    """Another person changed the row since the form was opened (optimistic locking)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, code="stale")
