"""The chain of hashes over audit events. A tick fills it in order of id; a person or a tick verifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Min
from django.utils import timezone

from audit.models import AuditEvent

# A transaction may commit a lower id after a higher one, so an event is chained only once it is older than this.
SETTLED = timedelta(seconds=30)


def digest(event: AuditEvent, previous: str) -> str:
    """SHA-256, in hexadecimal, over all fields of an event and the hash of the event before it."""
    content = [
        event.pk, event.at.isoformat(), event.actor_kind, event.actor_id, event.actor_text, event.address, event.request_id,
        event.verb, event.target_kind, event.target_id, event.target_text, event.project_slug, event.data, previous,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def extend(limit: int = 1000) -> int:
    """Chains up to `limit` settled events and returns their number. Only one process at a time may run it (the
    scheduler)."""
    with transaction.atomic():
        last = AuditEvent.objects.exclude(hash="").order_by("-id").first()
        previous, after = (last.hash, last.pk) if last else ("", 0)
        fresh = AuditEvent.objects.filter(pk__gt=after, at__lt=timezone.now() - SETTLED).order_by("id")[
            :limit
        ]
        count = 0
        for event in fresh:
            event.previous_hash, event.hash = previous, digest(event, previous)
            event.save(update_fields=["previous_hash", "hash"])
            previous, count = event.hash, count + 1
        return count


def lag() -> tuple[int, float]:
    """How many settled events are not chained yet, and for how many seconds the oldest of them has waited beyond SETTLED."""
    last = AuditEvent.objects.exclude(hash="").order_by("-id").values_list("pk", flat=True).first() or 0
    settled = timezone.now() - SETTLED
    found = AuditEvent.objects.filter(pk__gt=last, at__lt=settled).aggregate(n=Count("pk"), oldest=Min("at"))
    waited = (settled - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    return found["n"], waited


def broken_links() -> Iterator[int]:
    """Yields, in order, the ids of chained events that were changed or whose predecessor is missing."""
    previous = ""
    for event in AuditEvent.objects.exclude(hash="").order_by("id").iterator(chunk_size=2000):
        if event.previous_hash != previous or event.hash != digest(event, previous):
            yield event.pk
        previous = event.hash
