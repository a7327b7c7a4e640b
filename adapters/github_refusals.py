"""GitHub's refusals, and calls without an answer, as the adapters' errors in plain words."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, ReadTimeoutError, SSLError

from adapters.errors import (
    Conflict,
    Denied,
    ExternalError,
    Invalid,
    NotFound,
    Throttled,
    TimedOut,
    Unavailable,
)

SYSTEM = "GitHub"
LONGEST_WAIT = 3600.0  # seconds


def failure(error: Exception) -> ExternalError:
    """The error for a call without an answer."""
    cause = error.reason if isinstance(error, MaxRetryError) else error
    if isinstance(cause, ReadTimeoutError | TimeoutError) or type(cause) is ConnectTimeoutError:
        return TimedOut("GitHub gave no answer in time.", system=SYSTEM)
    if isinstance(cause, SSLError):
        return Unavailable("No trusted encrypted connection to GitHub could be made.", system=SYSTEM)
    hint = "Try again; if it stays so, check the network between the portal and GitHub, and GITHUB_API_URL."
    return Unavailable("GitHub is not reachable.", system=SYSTEM, hint=hint)


def refusal(
    status: int, headers: Mapping[str, str], text: bytes, name: str, what: str, right: str
) -> ExternalError:
    """The error for an answer that is no success. `name`: the repository; `what`: the things that were sent; `right`: the
    scope of a token that is needed for them."""
    said = _said(text)
    if status == 429 or (status == 403 and _is_limit(headers, said)):
        return Throttled("GitHub asks us to slow down.", system=SYSTEM, retry_after=_wait(headers))
    if status == 401:
        return Denied(
            "GitHub does not accept the token: it is wrong, was revoked or has expired.", system=SYSTEM
        )
    if status in (403, 404):
        kind = Denied if status == 403 else NotFound
        sentence = (
            f"the token lacks {right} for {name}"
            if status == 403
            else f"it has no {name}, or the token lacks {right}"
        )
        return kind(f"GitHub does not take {what}: {sentence}.", system=SYSTEM, hint=_hint(right))
    return _other_refusal(status, said, name)


def _other_refusal(status: int, said: str, name: str) -> ExternalError:
    """The error for an answer that says nothing of rights or limits."""
    if 300 <= status < 400:
        hint = "Enter its new address in the project's settings."
        return NotFound(f"GitHub says that {name} was moved or renamed.", system=SYSTEM, hint=hint)
    if status == 409:
        return Conflict(f"GitHub refuses it: {said or 'a conflict'}.", system=SYSTEM)
    if status == 422 and "no commit found" in said.lower():
        return NotFound("GitHub does not know the commit yet.", system=SYSTEM, permanent=False)
    if status >= 500:
        return Unavailable(f"GitHub failed on its side (HTTP {status}).", system=SYSTEM, hint="Try again.")
    return Invalid(f"GitHub does not take it (HTTP {status}): {said or 'without a reason'}.", system=SYSTEM)


def _hint(right: str) -> str:
    fine = "Commit statuses" if right == "repo:status" else "Deployments"
    return f"Give the token the scope {right} (a fine-grained one: {fine}, read and write), or enter another one."


def _said(text: bytes) -> str:
    """GitHub's own reason: its message and those of single errors, in one line without a full stop."""
    try:
        body = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors") or []
    parts = [body.get("message")]
    parts += (
        [one.get("message") if isinstance(one, dict) else one for one in errors]
        if isinstance(errors, list)
        else []
    )
    return ": ".join(str(part) for part in parts if part)[:200].replace("\n", " ").rstrip(".")


def _is_limit(headers: Mapping[str, str], said: str) -> bool:
    """Whether a 403 is a rate limit, the hourly one or a secondary one, and no missing right."""
    words = said.lower()
    return (
        "retry-after" in headers
        or headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in words
        or "abuse detection" in words
    )


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds that GitHub asks us to wait; a minute when it does not say (its documentation asks for that)."""
    after = headers.get("retry-after", "")
    if after.isdecimal():
        return min(float(after), LONGEST_WAIT)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return min(max(float(reset) - time.time(), 1.0), LONGEST_WAIT)
    return 60.0
