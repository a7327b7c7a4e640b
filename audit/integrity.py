"""Verifies the chain of events and keeps the result. A tick and a page start it."""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

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
# Its time limit: millions of events take minutes. A job of which nothing is heard is asked for again in the next slot.
VERIFY_SECONDS = SLOT_SECONDS = 1800


def last_check() -> IntegrityCheck | None:
    """The newest result, or None."""
    return IntegrityCheck.objects.order_by("-pk").first()


def verify() -> IntegrityCheck:
    """Verifies every chained event and stores the result."""
    started = time.monotonic()
    events = AuditEvent.objects.exclude(hash="").count()
    broken, count = [], 0
    for pk in chain.broken_links():
        count += 1
        if count <= BROKEN_KEPT:
            broken.append(pk)
    answer = IntegrityCheck.objects.create(
        events=events, broken_count=count, broken=broken, seconds=round(time.monotonic() - started, 3)
    )
    IntegrityCheck.objects.filter(pk__lte=answer.pk - CHECKS_KEPT).delete()
    return answer


def verify_job() -> None:
    """The job of the queue `short`."""
    verify()


def verify_due() -> None:
    """For a tick: verifies again when the last result is old."""
    last = last_check()
    if last is None or timezone.now() - last.checked_at > EVERY:
        _verify_soon(last)


def ask(actor: Actor) -> IntegrityCheck | None:
    """Verifies now and audits it. Returns the result, or None when there are so many events that a job does it."""
    record(actor, "audit.verified", target_kind="audit", target_text="the chain of events")
    if AuditEvent.objects.exclude(hash="")[: AT_ONCE + 1].count() <= AT_ONCE:
        return verify()
    _verify_soon(last_check())
    return None


def _verify_soon(last: IntegrityCheck | None) -> None:
    """Enqueues a verification; not a second one while the same one waits or runs."""
    job_id = f"audit-verify-{last.pk if last else 0}-{slot(SLOT_SECONDS)}"
    enqueue("audit.integrity.verify_job", queue="short", job_id=job_id, seconds=VERIFY_SECONDS)
