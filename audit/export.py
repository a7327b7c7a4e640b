"""The audit as CSV, with the hashes, so that the chain can be verified elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.db.models import QuerySet

from audit.actors import Actor
from audit.models import AuditEvent
from audit.record import record
from core import csvexport

HEADER = (
    "id", "at", "actor_kind", "actor_id", "actor", "address", "request_id", "verb", "target_kind", "target_id", "target",
    "project", "data", "previous_hash", "hash",
)  # fmt: skip


def row(event: AuditEvent) -> tuple[object, ...]:
    """One event as cells, in the order of HEADER. `data` as JSON."""
    return (
        event.pk, event.at.isoformat(), event.actor_kind, event.actor_id, event.actor_text, event.address, event.request_id,
        event.verb, event.target_kind, event.target_id, event.target_text, event.project_slug,
        json.dumps(event.data, sort_keys=True, ensure_ascii=False) if event.data else "", event.previous_hash, event.hash,
    )  # fmt: skip


def export_events(actor: Actor, *, events: QuerySet[AuditEvent], filters: dict[str, str]) -> Iterator[str]:
    """Yields the CSV's lines, read while they are sent. Audits the export before the first line.

    `events`: those that the actor may read (audit/reading.events_for). `filters`: for the audit event.
    """
    record(actor, "audit.exported", target_kind="audit", target_text="events", data={"filters": filters})
    return csvexport.lines(HEADER, map(row, csvexport.by_key(events, "pk")))
