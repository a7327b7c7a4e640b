"""The chain of hashes over audit events. A tick extends it; audit/integrity.py verifies it.

Each hash covers the event, its place in the chain and the hash before, with a key (audit/anchor.py). The order is that
in which events were chained, not that of their ids: a transaction may commit a low id late. Events of before the key
have the hashes of then, in order of id; the first keyed hash covers the last of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Count, Min
from django.utils import timezone

from audit import anchor as anchors
from audit.models import Anchor, AuditEvent

log = structlog.get_logger(__name__)
# Events are chained once they are older than this, so that most stand in order. One that commits later comes later.
SETTLED = timedelta(seconds=30)


def content_of(event: AuditEvent) -> list[Any]:
    """All fields of an event that its hash covers."""
    return [
        event.pk, event.at.isoformat(), event.actor_kind, event.actor_id, event.actor_text, event.address, event.request_id,
        event.verb, event.target_kind, event.target_id, event.target_text, event.project_slug, event.data,
    ]  # fmt: skip


def old_digest(event: AuditEvent, previous: str) -> str:
    """SHA-256, in hexadecimal, without a key: the rule for events of before the key."""
    return hashlib.sha256(_bytes([*content_of(event), previous])).hexdigest()


def digest(event: AuditEvent, link: int, previous: str, key: bytes) -> str:
    """The keyed hash (HMAC with SHA-256, in hexadecimal) of an event at its place in the chain."""
    return hmac.new(key, _bytes([link, *content_of(event), previous]), hashlib.sha256).hexdigest()


def _bytes(content: list[Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def extend(limit: int = 1000) -> int:
    """Chains up to `limit` settled events that are not chained yet, whatever their ids. Returns their number.

    Chains nothing while the anchor does not fit; the verification tells why.
    """
    with transaction.atomic():
        anchor = Anchor.objects.select_for_update().order_by("pk").first()
        if trouble := anchors.trouble_with(anchor):
            log.error("no audit event is chained", reason=trouble)
            return 0
        settled = AuditEvent.objects.filter(hash="", at__lt=timezone.now() - SETTLED)
        events = list(settled.order_by("id")[:limit])
        if events:
            _append(anchor or anchors.first_anchor(), events)
    return len(events)


def _append(anchor: Anchor, events: list[AuditEvent]) -> None:
    """Chains the events and moves the anchor. The log's line is a witness outside of the database."""
    count, previous, key = anchor.count, anchor.hash, anchors.chain_key()
    for event in events:
        count += 1
        event.link, event.previous_hash = count, previous
        event.hash = previous = digest(event, count, previous, key)
        event.save(update_fields=["link", "previous_hash", "hash"])
    anchors.move(anchor, count=count, last=previous)
    log.info("audit events chained", chained=len(events), events=anchor.old_count + count, hash=previous)


def fits(event: AuditEvent, previous: str, key: bytes) -> bool:
    """Whether a chained event is unchanged and follows the event whose hash is `previous`."""
    if event.previous_hash != previous:
        return False
    right = old_digest(event, previous) if event.link is None else digest(event, event.link, previous, key)
    return hmac.compare_digest(event.hash, right)


def lag() -> tuple[int, float]:
    """How many settled events are not chained yet, and for how many seconds the oldest of them has waited beyond SETTLED."""
    settled = timezone.now() - SETTLED
    found = AuditEvent.objects.filter(hash="", at__lt=settled).aggregate(n=Count("pk"), oldest=Min("at"))
    waited = (settled - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    return found["n"], waited
