"""Compares one Secret as it is with what it is to be. Pure: no requests, no writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.cluster import Place
from registry.faults import GONE, TERMINATING, Fault
from registry.models import Cause, Credential, State
from registry.secrets import TYPE, Seen
from registry.wanted import Content, Wanted

WRITE, REPLACE = "write", "replace"
MOST_REPAIRS, REPAIR_WINDOW = 3, timedelta(hours=1)


@dataclass(frozen=True)
class Verdict:
    """What to do with one Secret. `action`: write, replace (delete and create), or empty; `cause`: why; `state`: a state that
    its dates do not tell (missing, foreign, paused), or empty; `fault`: why it is not as it is to be."""

    action: str = ""
    cause: str = ""
    state: str = ""
    fault: Fault | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the portal looks after this Secret, so that it needs tokens for it."""
        return self.state not in (State.FOREIGN, State.PAUSED) and not (
            self.fault is not None and self.fault.kind in (GONE, TERMINATING)
        )


NO_NAMESPACE = Fault("The namespace does not exist yet.", "It gets its Secret when it appears.", GONE)
ENDING = Fault("The namespace is being deleted.", "Nothing is written there any more.", TERMINATING)


def judge(
    place: Place, live: Seen | None, row: Credential, content: Content | None, want: Wanted, now: datetime
) -> Verdict:
    """What to do with a Secret in a namespace that is there."""
    if row.paused_until is not None and row.paused_until > now:
        return Verdict(state=State.PAUSED)
    if live is None:
        cause = Cause.MISSING if row.written_at else Cause.APPEARED
        if content is None:
            return Verdict("", cause, State.MISSING, want.fault)
        return Verdict(WRITE, cause, State.MISSING)
    if others := of_others(place, live):
        return _of_others(live, row, content, want, others)
    if content is None or live.fingerprint == content.fingerprint:
        return Verdict(fault=want.fault)
    if not row.fingerprint or live.fingerprint == row.fingerprint:
        return Verdict(WRITE, Cause.DUE)
    if is_fought_over(row, now) and not row.adopt:
        return Verdict(state=State.FOREIGN, fault=_fought_over(live))
    return Verdict(WRITE, Cause.TAMPERED)


def is_fought_over(row: Credential, now: datetime) -> bool:
    """Whether others changed it so often that to repair it again would only be answered by the next change."""
    recent = row.repaired_at is not None and row.repaired_at > now - REPAIR_WINDOW
    return recent and row.repairs >= MOST_REPAIRS


def _of_others(live: Seen, row: Credential, content: Content | None, want: Wanted, others: Fault) -> Verdict:
    if not row.adopt:
        return Verdict(state=State.FOREIGN, fault=others)
    if content is None:
        return Verdict("", Cause.ADOPTED, "", want.fault)
    return Verdict(WRITE if live.can_be_patched else REPLACE, Cause.ADOPTED)


def of_others(place: Place, live: Seen) -> Fault | None:
    """The fault of a Secret that others wrote and the portal therefore leaves alone; None for its own."""
    if live.ours and live.can_be_patched:
        return None
    by = f"by {live.writer}" if live.writer else "by a writer that the cluster does not name"
    if live.type != TYPE:
        text = f"The Secret {place.name} has the type {live.type or 'none'}, with which nodes do not pull. Written {by}."
    elif live.immutable:
        text = f"The Secret {place.name} is immutable. Written {by}."
    else:
        text = f"The Secret {place.name} was written {by}, not by the portal."
    how = "in place" if live.can_be_patched else "by deleting it and creating it anew"
    hint = f"An admin can let the portal take it over ({how}); else it is left as it is."
    return Fault(text, hint)


def _fought_over(live: Seen) -> Fault:
    by = live.writer or "Another writer"
    return Fault(
        f"{by} changes the Secret again and again; the portal has repaired it {MOST_REPAIRS} times and now leaves it.",
        "Stop the other writer, or pause the credential of this namespace. The portal tries again in an hour.",
    )


def state_of(row: Credential, now: datetime) -> str:
    """The state by a credential's dates and last error, for one whose Secret is there and ours."""
    if row.expires_at is None:
        return State.FAILING if row.last_error else State.UNKNOWN
    if row.expires_at <= now:
        return State.ENDED
    half = row.half_life_at
    if half is not None and now > half + (row.expires_at - half) / 2:
        return State.ENDS_SOON
    return State.FAILING if row.last_error else State.VALID
