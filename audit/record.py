"""Writing audit events. Each service calls `record` explicitly."""

from __future__ import annotations

from typing import Any

from audit.actors import Actor
from audit.models import AuditEvent
from core import committed
from core.origin import origin
from core.redactor import redact_nested, redact_text

BEFORE, AFTER = "before", "after"


def record(
    actor: Actor,
    verb: str,
    *,
    target_kind: str = "",
    target_id: str | int = "",
    target_text: str = "",
    project: str = "",
    data: dict[str, Any] | None = None,
) -> AuditEvent:
    """Appends an event and returns it. Call it in the transaction of the change that it records.

    `verb`: dotted, e.g. `deploy.requested` (wording in audit/verbs.py). `project`: slug, for filtering. `data`: JSON
    values without secrets; every text in it also goes through the redactor. For a changed value use `before_after(…)`.
    """
    committed.note_at_commit()
    where = origin()
    return AuditEvent.objects.create(
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_text=actor.text[:150],
        address=where.address[:64],
        request_id=where.request_id,
        verb=verb,
        target_kind=target_kind,
        target_id=str(target_id),
        target_text=redact_text(target_text)[:200],
        project_slug=project,
        data=redact_nested(data or {}),
    )


def before_after(before: Any, after: Any) -> dict[str, Any]:
    """A changed value for `data` of an event; audit/reading.py reads it. A plain list in `data` is never a change."""
    return {BEFORE: before, AFTER: after}
