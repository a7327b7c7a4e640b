"""Archives, restores and removes. Each function checks the right, is idempotent, and writes the audit event in one
transaction.

Archiving hides a thing and stops everything that the portal does with it; the history and the short name stay. Removing deletes
the row, where nothing refers to it. Neither changes anything outside: what stays there is told before (`core/leaving.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, ProtectedError
from django.utils import timezone

from audit.actors import Actor
from core.errors import Refused
from core.leaving import Reason, refers_to, sentences, still_open
from projects.leaving import noting
from projects.leaving.things import Thing, locked, require_right, text_of
from projects.leaving.uses import needed_by, not_restorable
from projects.models import Environment, Image


@transaction.atomic
def archive(actor: Actor, *, thing: Thing) -> None:
    """Archives the thing. One that is archived already is no error and gives no event. Raises Refused (role, in-use) while
    something of it is open or something current uses it."""
    require_right(actor, thing)
    row = locked(thing)
    if row.archived_at:
        return
    if reasons := still_open(row):
        raise in_use(f"{text_of(row)} cannot be archived now.", reasons, "End these first, then archive it.")
    _set(row, archived_at=timezone.now(), archived_by=actor.text)
    noting.archived(actor, row)


@transaction.atomic
def restore(actor: Actor, *, thing: Thing) -> None:
    """Restores the thing as it was. One that is not archived is no error and gives no event. Raises Refused (role, in-use) when
    what it needs is archived."""
    require_right(actor, thing)
    row = locked(thing)
    if not row.archived_at:
        return
    for needed in needed_by(row):  # nobody archives these meanwhile
        type(needed).objects.select_for_update().filter(pk=needed.pk).only("pk").first()
    if reasons := list(not_restorable(row)):
        raise in_use(f"{text_of(row)} cannot be restored now.", reasons, "")
    _set(row, archived_at=None, archived_by="")
    noting.restored(actor, row)


@transaction.atomic
def remove(actor: Actor, *, thing: Thing) -> None:
    """Removes the thing and its settings for good. Raises Refused (role; in-use while it is not archived, or something refers to
    it), Http404 when it is removed already."""
    require_right(actor, thing)
    row = locked(thing)
    if not is_archived(row):
        raise in_use(f"{text_of(row)} is in use.", [], "Archive it first.")
    if reasons := refers_to(row):
        raise in_use(f"{text_of(row)} cannot be removed.", reasons, "It can stay archived.")
    try:
        noting.delete(actor, row)
    except ProtectedError as error:
        raise in_use(f"{text_of(row)} cannot be removed.", [], "Something refers to it.") from error


def is_archived(thing: Thing) -> bool:
    """Whether the thing, or the project that it belongs to, is archived."""
    return thing.is_archived if isinstance(thing, Environment | Image) else bool(thing.archived_at)


def in_use(what: str, reasons: Sequence[Reason], hint: str) -> Refused:
    """The error for what cannot be done because of these reasons."""
    return Refused(f"{what} {sentences(reasons)}".strip(), hint=hint, code="in-use")


def _set(row: Thing, **values: object) -> None:
    type(row).objects.filter(pk=row.pk).update(**values, edited=F("edited") + 1)
    for name, value in values.items():
        setattr(row, name, value)
