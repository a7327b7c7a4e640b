"""Writes rows to the outbox."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from core.jobs import enqueue
from notify.models import Outgoing


def write(kind: Outgoing.Kind, recipient: str, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Writes one row in the caller's transaction, and enqueues the job that sends it. Idempotent by `key`."""
    row, created = Outgoing.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "recipient": recipient,
            "thread": thread,
            "payload": payload,
            "next_try_at": Now(),
        },
    )
    if created:
        enqueue("notify.outbox.send_due", queue="messages", job_id=f"send-{row.pk}", at_front=True)
