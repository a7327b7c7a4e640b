"""The rows and audit events of renewals. A failure that goes on stays one row and one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR, person
from audit.record import record
from core import changes
from core.redactor import redact_text
from projects.models import Cluster
from registry.models import Cause, Credential, Refresh, RefreshResult
from registry.wanted import Wanted

LIST, TOKEN, PROOF, WRITE, READ_BACK = 1, 2, 3, 4, 5
P = Refresh.Progress
RESULT = RefreshResult.Result
MOST_NAMED = 20  # namespaces that an audit event names
ASKED = (Cause.PERSON, Cause.ADOPTED)
BROKEN_OFF = "The worker ended before it was done; what is still due is renewed by the next one."


@dataclass(frozen=True)
class Done:
    """What became of one Secret."""

    credential: Credential
    result: str
    sentence: str = ""


def opened(cluster: Cluster, cause: str, *, namespace: str, asked_as: str, repeated: bool) -> Refresh:
    """The running row of a renewal. `repeated`: all of it failed before; then the row of that failure goes on."""
    if repeated:
        last = Refresh.objects.filter(cluster=cluster, cause=cause, namespace=namespace).first()
        if last is not None and last.state == P.FAILED:
            _run(last)
            return last
    row = Refresh(cluster=cluster, cause=cause, namespace=namespace, asked_as=asked_as[:150])
    row.state, row.started_at, row.step, row.tries = P.RUNNING, timezone.now(), TOKEN, 1
    row.save()
    tell()
    return row


def _run(row: Refresh) -> None:
    Refresh.objects.filter(pk=row.pk).update(
        state=P.RUNNING, started_at=timezone.now(), step=TOKEN, done=0, tries=F("tries") + 1
    )
    row.refresh_from_db()
    tell()


def tell() -> None:
    """Tells open pages of the pull credentials that something has changed."""
    changes.note_topic(changes.REGISTRY)


def claimed(pk: int) -> Refresh | None:
    """A queued renewal, which runs from now on; None when another worker has it or it has ended."""
    rows = Refresh.objects.filter(pk=pk, state=P.QUEUED)
    now = timezone.now()
    if not rows.update(state=P.RUNNING, started_at=now, step=LIST, tries=F("tries") + 1):
        return None
    tell()
    return Refresh.objects.select_related("cluster", "asked_by").get(pk=pk)


def requeued(row: Refresh) -> None:
    """Puts a claimed renewal back, because another worker is writing in its cluster."""
    Refresh.objects.filter(pk=row.pk, state=P.RUNNING).update(state=P.QUEUED, step=0)
    tell()


@transaction.atomic
def end_orphans(cluster: Cluster, *, but: Refresh | None) -> None:
    """Ends what runs in a cluster whose lease we hold: its worker was killed. What people asked for is done once more. The audit
    tells of the others, because their worker may have written Secrets."""
    rows = Refresh.objects.filter(cluster=cluster, state=P.RUNNING)
    rows = rows.exclude(pk=but.pk) if but is not None else rows
    rows.filter(cause__in=ASKED, tries__lt=3).update(state=P.QUEUED, step=0)
    for row in rows.select_related("cluster", "asked_by"):
        data = {"cause": row.cause, "asked": row.asked_as, "error": BROKEN_OFF}
        _write_event(row, "", "pull_credential.broken_off", _told(data))
    if rows.update(state=P.ABANDONED, ended_at=timezone.now(), sentence=BROKEN_OFF):
        tell()


def step(rows: Sequence[Refresh], number: int, done: int = 0, total: int = 0) -> None:
    """Shows how far a renewal is."""
    if rows:
        Refresh.objects.filter(pk__in=[row.pk for row in rows]).update(step=number, done=done, total=total)
        tell()


@transaction.atomic
def close(row: Refresh, done: Sequence[Done], want: Wanted, *, is_new: bool) -> None:
    """Ends a renewal with its results. `is_new`: not the repetition of a failure, so that it is audited."""
    bad = [one for one in done if one.result in (RESULT.FAILED, RESULT.FOREIGN)]
    written = [one for one in done if one.result == RESULT.WRITTEN]
    results = [
        RefreshResult(
            refresh=row,
            credential=one.credential,
            result=one.result,
            sentence=redact_text(one.sentence)[:500],
        )
        for one in done
    ]
    RefreshResult.objects.bulk_create(
        results, batch_size=200, update_conflicts=True, unique_fields=["refresh", "credential"],
        update_fields=["result", "sentence"],
    )  # fmt: skip
    row.state = P.FAILED if bad else P.SUCCEEDED
    row.ended_at = timezone.now()
    row.sentence = redact_text(_sentence(done, written, bad))[:500]
    row.hint = redact_text(bad[0].credential.hint)[:500] if bad else ""
    first = next((one.credential for one in written), None)
    row.fingerprint = first.fingerprint if first else ""
    row.expires_at = min((c.credential.expires_at for c in written if c.credential.expires_at), default=None)
    row.step, row.done, row.total = READ_BACK, len(done) - len(bad), len(done)
    row.save()
    tell()
    if written or (is_new and bad):
        _audit(row, written, bad, want)


@transaction.atomic
def fail(row: Refresh, sentence: str, hint: str = "") -> None:
    """Ends a renewal that did not come to any Secret. What a person asked for is audited."""
    row.state, row.ended_at = P.FAILED, timezone.now()
    row.sentence, row.hint = redact_text(sentence)[:500], redact_text(hint)[:500]
    row.save()
    tell()
    if row.cause in ASKED:
        data = {"cause": row.cause, "asked": row.asked_as, "error": row.sentence}
        _write_event(row, "", "pull_credential.not_renewed", _told(data))


def _sentence(done: Sequence[Done], written: Sequence[Done], bad: Sequence[Done]) -> str:
    parts = []
    if written:
        parts.append(f"{_count(len(written))} renewed.")
    fresh = sum(1 for one in done if one.result == RESULT.UNCHANGED)
    if fresh:
        parts.append(f"{_count(fresh)} fresh already: nothing had to be written.")
    if bad:
        parts.append(f"{_count(len(bad))} not renewed; {bad[0].credential.namespace}: {bad[0].sentence}")
    if not parts and done:
        parts.append(f"{_count(len(done))} skipped; {done[0].credential.namespace}: {done[0].sentence}")
    return " ".join(parts) or "There was nothing to renew."


def _count(number: int) -> str:
    return f"{number} Secret{'' if number == 1 else 's'}"


def _audit(row: Refresh, written: Sequence[Done], bad: Sequence[Done], want: Wanted) -> None:
    """One event for each registry: who or what asked, where, the result, and when the token ends."""
    for host, token in want.tokens.items():
        data = _data(row, written, bad, host, want.credentials, token.ends_at, token.fingerprint)
        if bad:
            _write_event(row, host, "pull_credential.not_renewed", data)
        else:
            _write_event(row, host, "pull_credential.renewed", data)


def _write_event(row: Refresh, host: str, verb: str, data: dict[str, Any]) -> None:
    actor = person(row.asked_by) if row.asked_by is not None else SYSTEM_ACTOR
    place = f"{row.cluster.slug}/{row.namespace}" if row.namespace else row.cluster.slug
    record(
        actor,
        verb,
        target_kind="pull_credential",
        target_id=row.cluster_id,
        target_text=f"{place}: {host}" if host else place,
        data=data,
    )


def _data(
    row: Refresh, written: Sequence[Done], bad: Sequence[Done], host: str, usable: Mapping[str, Any],
    ends_at: datetime | None, fingerprint: str,
) -> dict[str, Any]:  # fmt: skip
    found = {
        "cause": row.cause, "asked": row.asked_as, "written": len(written), "failed": len(bad),
        "namespaces": ", ".join(one.credential.namespace for one in written[:MOST_NAMED]),
        "error": bad[0].sentence if bad else "",
        "token": fingerprint if host in usable else "",
        "expires": ends_at.isoformat(timespec="seconds") if ends_at and host in usable else "",
    }  # fmt: skip
    return _told(found)


def _told(data: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to tell."""
    return {name: value for name, value in data.items() if value not in ("", None)}
