"""Creates, changes and deletes rows of every kind: with validation, optimistic locking and an audit event.

The callers check the right (projects/services.py, projects/memberships.py, projects/infrastructure.py).
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from audit.actors import Actor
from audit.models import AuditEvent
from audit.record import before_after, record
from core.errors import Refused, Stale
from core.fields import Sealed
from core.storable import storable_text

Row = TypeVar("Row", bound=models.Model)

# The audit never holds their values, only that they were set or changed.
SECRETS = frozenset({"kubeconfig", "credential", "webhook_secret", "github_token"})
# Fields that only the portal writes.
OWN = frozenset(
    {"id", "edited", "created_at", "last_seen", "last_error", "version", "environment", "project"}
    | {"archived_at", "archived_by"}
)


def create(actor: Actor, row: Row, *, verb: str, text: str, project: str = "") -> Row:
    """Saves a new row and audits it as `verb`, with its fields. Raises ValidationError by field, and Refused when another
    request created the same row at the same time."""
    for field in row._meta.concrete_fields:
        setattr(row, field.attname, _plain(field.name, getattr(row, field.attname)))
    row.full_clean()
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Refused(
            f"{text} was created by another person a moment ago; nothing was changed.",
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


def _plain(name: str, value: Any) -> Any:
    """A text as every page can show it: nothing in a name turns the rest of a line around. Credentials stay as they are."""
    return storable_text(value) if isinstance(value, str) and name not in SECRETS else value


def change(
    actor: Actor, row: Row, values: dict[str, Any], *, edited: int, verb: str, text: str, project: str = ""
) -> Row:
    """Sets `values` and returns the fresh row. Without a difference it writes nothing. Raises ValidationError, Stale.

    `edited`: the row's counter when the form was opened. The audit event holds old and new values of the changed fields.
    """
    fresh = type(row)._default_manager.select_for_update().get(pk=row.pk)
    if fresh.edited != edited:  # type: ignore[attr-defined]  # every row edited by a form has it
        raise stale(text)
    plain = {name: _plain(name, value) for name, value in values.items()}
    changed = {name: value for name, value in plain.items() if _differs(getattr(fresh, name), value)}
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


def _differs(stored: Any, value: Any) -> bool:
    return not stored.holds(value) if isinstance(stored, Sealed) else bool(stored != value)


def difference(before: Any, after: Any) -> Any:
    """The old and new value for the audit; of dictionaries only the entries that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return {
            name: before_after(_policy(before, name, after), _policy(after, name, before)) for name in names
        }
    return before_after(before, after)


def _policy(policies: dict[str, Any], name: str, other: dict[str, Any]) -> Any:
    """A policy's value; what is absent is off for a switch and a rule, and the default for a number."""
    absent = False if isinstance(other.get(name, False), bool | str) else "default"
    return policies.get(name, absent)


def remove(actor: Actor, row: models.Model, *, verb: str, text: str, project: str = "") -> None:
    """Deletes a row and audits its fields. A row that is already deleted is no error and gives no event."""
    data = {f.name: shown(row, f.name) for f in row._meta.concrete_fields if f.name not in OWN}
    pk = row.pk
    if type(row)._default_manager.filter(pk=pk).delete()[0]:
        row.pk = pk
        note(actor, row, verb=verb, text=text, project=project, data=data)


def note(
    actor: Actor, row: models.Model, *, verb: str, text: str, project: str, data: dict[str, Any]
) -> AuditEvent:
    """Writes one audit event about `row`. The target's kind is the verb's first word."""
    kind = verb.split(".")[0]
    return record(
        actor, verb, target_kind=kind, target_id=row.pk, target_text=text, project=project, data=data
    )


def shown(row: models.Model, name: str) -> Any:
    """A field's value for the audit, as JSON. For a secret: only whether it is set."""
    value = getattr(row, name)
    if name in SECRETS:
        return "set" if value else ""
    if isinstance(value, models.Model):
        return str(value)
    return value


def stale(text: str) -> Stale:
    """The error for a concurrent edit. `text` names the row."""
    return Stale(
        f"{text} was changed since you opened this form, by another person or in another tab; nothing was saved.",
        hint="Open the page in a new tab, check its current values, then save there.",
    )


def set_at(kind: str, pk: int, field: str) -> Any:
    """The time at which a secret field was last set, from the audit; None without such an event."""
    events = AuditEvent.objects.filter(target_kind=kind, target_id=str(pk), data__has_key=field)
    return events.order_by("-id").values_list("at", flat=True).first()


def refuse_field(**problems: str) -> ValidationError:
    """A ValidationError that names fields: `raise refuse_field(namespace="…")`."""
    return ValidationError({name: [text] for name, text in problems.items()})
