"""How one credential shows: its state as of now, what it means for pulls, how much of its life is left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry.models import Credential, State

# State → the word of `ui/states.py` whose colour and icon it has, and its own word.
LOOKS = {
    State.VALID: ("valid", "Valid"),
    State.ENDS_SOON: ("ends_soon", "Ends soon"),
    State.ENDED: ("failing", "Ended"),
    State.MISSING: ("missing", "Missing"),
    State.REFRESHING: ("running", "Refreshing"),
    State.FAILING: ("degraded", "Cannot be renewed"),
    State.FOREIGN: ("warning", "Written by others"),
    State.PAUSED: ("suspended", "Paused"),
    State.UNKNOWN: ("unknown", "Not known"),
}
PROOFS = {"manifest": "manifest read", "v2": "signed in"}
USUAL_LIFE = 12 * 3600.0


@dataclass(frozen=True)
class Looks:
    """A credential's state for a page. `state`: a word of `ui/states.py`; `percent`: the part of its life that is left."""

    state: str
    word: str
    sentence: str
    percent: int
    proof: str
    is_usable: bool


def looks(row: Credential, now: datetime) -> Looks:
    """How it shows now. Its row may be a minute old, or older while no worker runs: what has ended since then is ended."""
    state = state_now(row, now)
    css, word = LOOKS[state]
    if state == State.MISSING and row.failing_since is None and row.last_error:
        css, word = "not_started", "No namespace"
    usable = is_usable(row, now)
    return Looks(
        css,
        word,
        row.last_error or _usual(state, row),
        percent_left(row, now),
        PROOFS.get(row.proven_by, ""),
        usable,
    )


def state_now(row: Credential, now: datetime) -> State:
    """The state as stored, but for a credential that has ended meanwhile."""
    state = State(row.state)
    if state in (State.MISSING, State.FOREIGN, State.REFRESHING):
        return state
    return State.ENDED if row.expires_at is not None and row.expires_at <= now else state


def is_usable(row: Credential, now: datetime) -> bool:
    """Whether pods can pull with it, as far as the portal knows."""
    return (
        row.expires_at is not None
        and row.expires_at > now
        and row.state not in (State.MISSING, State.FOREIGN)
    )


def percent_left(row: Credential, now: datetime) -> int:
    """How much of its life is left. Half of it is over at `half_life_at`."""
    if row.expires_at is None or row.expires_at <= now:
        return 0
    whole = 2 * (row.expires_at - row.half_life_at).total_seconds() if row.half_life_at else USUAL_LIFE
    return max(1, min(100, round(100 * (row.expires_at - now).total_seconds() / max(whole, 1.0))))


def _usual(state: State, row: Credential) -> str:
    if state == State.PAUSED and row.paused_until and row.expires_at and row.paused_until >= row.expires_at:
        return "Pulls stop before the pause ends. An admin can resume it; then the credential is renewed."
    if state == State.PAUSED:
        return "Nothing is written here until the pause ends."
    if state == State.ENDED:
        return "Its token has ended. Pods cannot pull with it."
    if state == State.UNKNOWN and row.seen_at is None:
        return "Not looked at yet."
    return ""
