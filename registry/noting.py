"""What a look changes in the rows of credentials. Only rows that change are written, under the fence of the cluster's lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from core import changes
from core.redactor import redact_text
from registry import leases
from registry.cluster import Place
from registry.faults import GONE, TERMINATING, Fault
from registry.judging import REPAIR_WINDOW, Verdict, state_of
from registry.leases import Held
from registry.models import Cause, Credential, State
from registry.secrets import Seen
from registry.tokens import pause_after
from registry.verdicts import Looked, waits
from registry.wanted import Content, Wanted, content_for
from registry.writing import Outcome

FIELDS = (
    "state", "fingerprint", "entries", "expires_at", "half_life_at", "written_at", "proven_at", "proven_by", "last_error",
    "hint", "failing_since", "attempts", "next_try_at", "last_writer", "repairs", "repaired_at",
)  # fmt: skip


def write_down(
    held: Held,
    looked: Looked,
    want: Wanted,
    verdicts: Mapping[Place, Verdict],
    outcomes: Mapping[Place, Outcome],
) -> None:
    """Brings the rows up to date: with the outcome where something was written, else with the verdict. Raises LeaseLost."""
    before = {place: _values(row) for place, row in looked.rows.items()}
    for place, row in looked.rows.items():
        live = looked.live.get(place)
        if place in outcomes:
            _note_outcome(row, verdicts[place], live, outcomes[place], want)
        else:
            _note_verdict(row, verdicts[place], live, content_for(want, live, row), looked.at)
    changed = [row for place, row in looked.rows.items() if _values(row) != before[place]]
    with leases.fenced(held):
        if changed:
            # An upsert: Django's bulk_update takes ten times as long for so many columns.
            Credential.objects.bulk_create(
                changed, batch_size=200, update_conflicts=True, unique_fields=["id"], update_fields=FIELDS
            )
            adopted = [looked.rows[place].pk for place in outcomes if not looked.rows[place].adopt]
            Credential.objects.filter(pk__in=adopted, adopt=True).update(adopt=False)
            changes.note_topic(changes.REGISTRY)
        Credential.objects.filter(pk__in=[row.pk for row in looked.rows.values()]).update(seen_at=looked.at)


def refreshing(held: Held, rows: Sequence[Credential]) -> None:
    """Shows that these are being renewed. The end of the look, or the next one, writes their state anew. Raises LeaseLost."""
    with leases.fenced(held), transaction.atomic():
        Credential.objects.filter(pk__in=[row.pk for row in rows]).update(state=State.REFRESHING)
    for row in rows:
        row.state = State.REFRESHING


def _values(row: Credential) -> list[Any]:
    return [getattr(row, name) for name in FIELDS]


def _note_outcome(
    row: Credential, verdict: Verdict, live: Seen | None, outcome: Outcome, want: Wanted
) -> None:
    now = timezone.now()
    if outcome.content is None or outcome.fault is not None:
        fault = outcome.fault or Fault("It was not written.")
        row.attempts = 0 if fault.kind in (GONE, TERMINATING) else row.attempts + 1
        row.next_try_at = now + pause_after(row.attempts) if row.attempts else None
        _fault(row, fault, now)
        row.state = verdict.state or state_of(row, now)
        return
    _holds(row, outcome.content)
    row.written_at, row.attempts, row.next_try_at, row.adopt = now, 0, None, False
    if verdict.cause == Cause.TAMPERED:
        _count_repair(row, now)
        row.last_writer = live.writer if live else ""
    _fault(row, want.fault, now)
    row.state = state_of(row, now)


def _note_verdict(
    row: Credential, verdict: Verdict, live: Seen | None, content: Content | None, now: datetime
) -> None:
    if verdict.state == State.PAUSED:
        row.state = State.PAUSED
        if row.failing_since is None:  # the error of a cluster that did not answer; it answers now
            _fault(row, None, now)
        return
    if verdict.action or waits(row, now):  # not tried now: the last error stays
        row.state = verdict.state or state_of(row, now)
        return
    if verdict.state in (State.MISSING, State.FOREIGN):
        row.entries, row.expires_at, row.half_life_at = {}, None, None
        row.proven_at, row.proven_by = None, ""
        row.last_writer = live.writer if live else ""
    elif content is not None:
        _holds(row, content)
        row.attempts, row.next_try_at = 0, None
    _fault(row, verdict.fault, now)
    row.state = verdict.state or state_of(row, now)


def _holds(row: Credential, content: Content) -> None:
    """This content stands in the Secret."""
    row.fingerprint, row.entries = content.fingerprint, dict(content.entries)
    row.expires_at, row.half_life_at = content.expires_at, content.half_life_at
    row.proven_at, row.proven_by = content.proven_at, content.proven_by


def _count_repair(row: Credential, now: datetime) -> None:
    recent = row.repaired_at is not None and row.repaired_at > now - REPAIR_WINDOW
    row.repairs = row.repairs + 1 if recent else 1
    row.repaired_at = row.repaired_at if recent else now


def _fault(row: Credential, fault: Fault | None, now: datetime) -> None:
    """The last error; none clears it. A namespace that is not there is no failure."""
    row.last_error = redact_text(fault.sentence)[:500] if fault else ""
    row.hint = redact_text(fault.hint)[:500] if fault else ""
    fails = fault is not None and fault.kind not in (GONE, TERMINATING)
    row.failing_since = (row.failing_since or now) if fails else None
