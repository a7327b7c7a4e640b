"""Creating and changing a row, the same way for every kind: checked, guarded against a concurrent edit, audited.

The right is checked by the services that call this (projects/services.py, projects/infrastructure.py).
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from audit.actors import Actor
from audit.models import AuditEvent
from audit.record import before_after, record
from core.errors import Refused, Stale

Row = TypeVar("Row", bound=models.Model)

# Never in the audit: only that they were set or changed.
SECRETS = frozenset({"kubeconfig", "credential"})
# What the portal keeps for itself; no person edits it.
OWN = frozenset(
    {"id", "edited", "created_at", "last_seen", "last_error", "version", "environment", "project"}
)


def create(actor: Actor, row: Row, *, verb: str, text: str, project: str = "") -> Row:
    """Saves a new row and audits it as `verb`, with its fields. Raises ValidationError by field; Refused when it lost a race."""
    row.full_clean()
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Refused(
            f"{text} was created by somebody else a moment ago; nothing was changed.",
            hint="Open the list again.",
            code="exists",
        ) from error
    data = {f.name: shown(row, f.name) for f in row._meta.concrete_fields if f.name not in OWN}
    note(
        actor,
        row,
        verb=verb,
        text=text,
        project=project,
        data={k: v for k, v in data.items() if v not in ("", None)},
    )
    return row


def change(
    actor: Actor, row: Row, values: dict[str, Any], *, edited: int, verb: str, text: str, project: str = ""
) -> Row:
    """Sets `values` and returns the fresh row; nothing to change is no change. Raises ValidationError, Stale.

    `edited`: the row's counter when the form was opened. The audit tells the fields with what they were and are.
    """
    fresh = type(row)._default_manager.select_for_update().get(pk=row.pk)
    if fresh.edited != edited:  # type: ignore[attr-defined]  # every row edited by a form has it
        raise stale(text)
    changed = {name: value for name, value in values.items() if getattr(fresh, name) != value}
    if not changed:
        return fresh
    before = {name: shown(fresh, name) for name in changed}
    for name, value in changed.items():
        setattr(fresh, name, value)
    fresh.full_clean()
    fresh.edited = edited + 1  # type: ignore[attr-defined]
    rows = type(row)._default_manager.filter(pk=row.pk, edited=edited)
    if rows.update(**{name: getattr(fresh, name) for name in changed}, edited=edited + 1) != 1:
        raise stale(text)
    data = {
        name: "changed" if name in SECRETS else difference(before[name], shown(fresh, name))
        for name in changed
    }
    note(actor, fresh, verb=verb, text=text, project=project, data=data)
    return fresh


def difference(before: Any, after: Any) -> Any:
    """What the audit tells of a change: what was and is; of switches by name only those that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return {name: before_after(before.get(name, False), after.get(name, False)) for name in names}
    return before_after(before, after)


def remove(actor: Actor, row: models.Model, *, verb: str, text: str, project: str = "") -> None:
    """Deletes a row and audits what it said. One that is gone already is no error and no event."""
    data = {f.name: shown(row, f.name) for f in row._meta.concrete_fields if f.name not in OWN}
    pk = row.pk
    if type(row)._default_manager.filter(pk=pk).delete()[0]:
        row.pk = pk
        note(actor, row, verb=verb, text=text, project=project, data=data)


def note(
    actor: Actor, row: models.Model, *, verb: str, text: str, project: str, data: dict[str, Any]
) -> AuditEvent:
    """One audit event about `row`; the target's kind is the verb's first word."""
    kind = verb.split(".")[0]
    return record(
        actor, verb, target_kind=kind, target_id=row.pk, target_text=text, project=project, data=data
    )


def shown(row: models.Model, name: str) -> Any:
    """A field's value as the audit keeps it: JSON, and of a secret only that it is set."""
    value = getattr(row, name)
    if name in SECRETS:
        return "set" if value else ""
    if isinstance(value, models.Model):
        return str(value)
    return value


def stale(text: str) -> Stale:
    """Somebody else was faster."""
    return Stale(
        f"{text} was changed by somebody else since you opened this form; nothing was saved.",
        hint="Open the page in another tab, look at what it says now, then save from there.",
    )


def set_at(kind: str, pk: int, field: str) -> Any:
    """When a secret field was last set, from the audit; None when it never was (or before there was an audit)."""
    events = AuditEvent.objects.filter(target_kind=kind, target_id=str(pk), data__has_key=field)
    return events.order_by("-id").values_list("at", flat=True).first()


def refuse_field(**problems: str) -> ValidationError:
    """A ValidationError that names fields: `raise refuse_field(namespace="…")`."""
    return ValidationError({name: [text] for name, text in problems.items()})
