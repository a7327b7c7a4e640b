"""Verifies the chain of events, in pieces, and keeps the result. A tick and a page start it.

A piece ends well before its job's time limit and notes how far it came. The next one goes on from there, also when a
worker was killed meanwhile, so that the number of events does not matter.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

from audit import anchor as anchors
from audit import chain
from audit.actors import Actor
from audit.models import AuditEvent, IntegrityCheck
from audit.record import record
from core.jobs import enqueue, slot

# Up to this number of events a request verifies the chain itself; a job does more.
AT_ONCE = 20_000
BROKEN_KEPT = 20
CHECKS_KEPT = 100
EVERY = timedelta(hours=6)
PIECE_SECONDS = 30.0  # the job's time limit is 120 s
BATCH = 2000
STUCK = timedelta(minutes=3)  # no piece takes that long: its worker is gone, or Redis lost it
CUT = "The newest {missing} of {all} events are missing."
OLD_CUT = "The events of before the keyed chain are not those that were there when it began."


def last_check() -> IntegrityCheck | None:
    """The newest result, or None."""
    return IntegrityCheck.objects.filter(running=False).order_by("-pk").first()


def running_check() -> IntegrityCheck | None:
    """The verification that goes on now, or None."""
    return IntegrityCheck.objects.filter(running=True).order_by("-pk").first()


def begin() -> IntegrityCheck:
    """A new verification of the chain as it is now; nothing is read yet."""
    anchor = anchors.find()
    trouble = anchors.trouble_with(anchor)
    proven = anchor if anchor is not None and not trouble else None
    links = AuditEvent.objects.filter(link__isnull=False).order_by("-link").values_list("link", flat=True)
    until = proven.count if proven else links.first() or 0
    if trouble == anchors.OTHER_KEY:
        until = 0  # no event of the chain can be verified
    return IntegrityCheck.objects.create(
        events=until + AuditEvent.objects.filter(link=None).exclude(hash="").count(),
        running=True, until=until, until_hash=proven.hash if proven else "", trouble=trouble,
    )  # fmt: skip


def advance(check: IntegrityCheck, seconds: float = PIECE_SECONDS) -> bool:
    """Reads on for about `seconds` and saves how far it came. Returns whether the verification has ended.

    Returns True as well when another process has moved the same verification meanwhile: that one goes on.
    """
    started, before = time.monotonic(), check.seen
    key = anchors.chain_key()
    while check.running and time.monotonic() - started < seconds:
        if not _old_batch(check, key) and not _batch(check, key):
            _finish(check)
    check.seconds = round(check.seconds + time.monotonic() - started, 3)
    check.moved_at = timezone.now()
    values = {f.name: getattr(check, f.name) for f in check._meta.concrete_fields if not f.primary_key}
    moved = IntegrityCheck.objects.filter(pk=check.pk, running=True, seen=before).update(**values)
    return not moved or not check.running


def _old_batch(check: IntegrityCheck, key: bytes) -> bool:
    """Reads events of before the key. Returns False once there are no more of them."""
    if check.link_at:
        return False
    old = AuditEvent.objects.filter(link=None, pk__gt=check.old_at or 0).exclude(hash="")
    events = list(old.order_by("id")[:BATCH])
    if events:
        _read(check, events, key)
        check.old_at = events[-1].pk
    elif not check.trouble and not _is_old_part_whole(check):
        check.trouble, check.previous = OLD_CUT, check.until_hash
    return bool(events)


def _is_old_part_whole(check: IntegrityCheck) -> bool:
    """Whether the events of before the key, all read by now, are those that the anchor names."""
    anchor = anchors.find()
    return anchor is None or (anchor.old_count, anchor.old_hash) == (check.seen, check.previous)


def _batch(check: IntegrityCheck, key: bytes) -> bool:
    """Reads events of the chain. Returns False at its end."""
    rest = AuditEvent.objects.filter(link__gt=check.link_at, link__lte=check.until)
    events = list(rest.order_by("link")[:BATCH])
    if events:
        _read(check, events, key)
        check.link_at = events[-1].link or 0
    return bool(events)


def _read(check: IntegrityCheck, events: list[AuditEvent], key: bytes) -> None:
    """Compares each event with its hash and the one before, and notes those that do not fit."""
    for event in events:
        if not chain.fits(event, check.previous, key):
            check.broken_count += 1
            check.broken = [*check.broken, event.pk][:BROKEN_KEPT]
        check.previous = event.hash
    check.seen += len(events)


def _finish(check: IntegrityCheck) -> None:
    """Ends the verification: compares the end that was read with the anchor's of the beginning."""
    if check.until_hash and check.link_at != check.until:
        check.trouble = check.trouble or CUT.format(missing=check.until - check.link_at, all=check.events)
    elif check.until_hash and check.previous != check.until_hash:
        check.trouble = check.trouble or anchors.FORGED
    check.running, check.checked_at = False, timezone.now()


def verify() -> IntegrityCheck:
    """Verifies every chained event and stores the result."""
    check = begin()
    while not advance(check):
        pass
    IntegrityCheck.objects.filter(pk__lte=check.pk - CHECKS_KEPT).delete()
    return check


def verify_job() -> None:
    """The job of the queue `short`: goes on with the running verification, or begins one; leaves the rest to the next
    job."""
    check = running_check() or begin()
    if advance(check):
        IntegrityCheck.objects.filter(pk__lte=check.pk - CHECKS_KEPT).delete()
    else:
        _enqueue_piece(check)


def _enqueue_piece(check: IntegrityCheck | None) -> None:
    """The minute is in the id: RQ remembers a job that failed for days, and would refuse the next one."""
    place = f"{check.pk}-{check.seen}" if check else "new"
    job_id = f"audit-verify-{place}-{slot(60)}"
    enqueue("audit.integrity.verify_job", queue="short", job_id=job_id)


def verify_due() -> None:
    """For a tick: verifies again when the last result is old, and goes on with what got stuck."""
    now, going = timezone.now(), running_check()
    if going is not None:
        if now - going.moved_at > STUCK:
            _enqueue_piece(going)
        return
    last = last_check()
    if last is None or now - last.checked_at > EVERY:
        _enqueue_piece(None)


def ask(actor: Actor) -> IntegrityCheck | None:
    """Verifies now and audits it. Returns the result, or None when there are so many events that jobs do it."""
    record(actor, "audit.verified", target_kind="audit", target_text="the chain of events")
    if AuditEvent.objects.exclude(hash="")[: AT_ONCE + 1].count() <= AT_ONCE:
        return verify()
    _enqueue_piece(running_check())
    return None
