"""Drafts hold typed values until they are saved: one encrypted row for each person and secret, for half an hour.

Nothing else keeps typed values: no session, no page, no hidden field.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from core.secret_values import register
from secrets_ui.known.public import Place
from secrets_ui.models import Draft, Secret

KEPT = timedelta(minutes=30)
Do = Literal["set", "add", "remove", "rename"]


@dataclass(frozen=True)
class Edit:
    """One edit of one key. `to`: the new name of a rename. `value`: None where the value stays, or goes."""

    secret: str
    key: str
    do: Do
    value: bytes | None = field(default=None, repr=False)
    to: str = ""

    @property
    def place(self) -> Place:
        """The key as it is called before."""
        return self.secret, self.key

    @property
    def places(self) -> set[Place]:
        """Every key that the edit touches."""
        return {self.place, (self.secret, self.to)} if self.to else {self.place}


@dataclass(frozen=True)
class Content:
    """The content of a draft. `loose`: a value that was typed for a key that could not be added, kept for the next try.
    `edited`: counts the changes of the draft."""

    edits: tuple[Edit, ...] = ()
    loose: bytes | None = field(default=None, repr=False)
    base_version: str = ""
    ends_at: datetime | None = None
    edited: int = 0

    def find(self, place: Place) -> Edit | None:
        """The edit of a key."""
        return next((edit for edit in self.edits if edit.place == place), None)

    def with_edit(self, edit: Edit) -> Content:
        """The same with an edit, in place of one of the same key."""
        return replace(self.without(edit.place), edits=(*self.without(edit.place).edits, edit))

    def without(self, place: Place) -> Content:
        """The same without the edit of a key."""
        return replace(self, edits=tuple(edit for edit in self.edits if edit.place != place))


def draft_of(user: Any, secret: Secret | None) -> Content:
    """The person's draft for a secret. Its values are registered with the redactor."""
    row = (
        Draft.objects.filter(user=user, secret=secret, ends_at__gt=timezone.now()).first() if secret else None
    )
    return _content(row) if row is not None else Content()


@transaction.atomic
def change_draft(user: Any, secret: Secret, change: Callable[[Content], Content]) -> Content:
    """Changes a draft; each change keeps it for another half hour. An empty one is erased."""
    row = Draft.objects.select_for_update().filter(user=user, secret=secret).first()
    alive = row is not None and row.ends_at > timezone.now()
    before = _content(row) if row is not None and alive else Content(base_version=secret.current_version)
    after = replace(change(before), ends_at=timezone.now() + KEPT)
    if not after.edits and after.loose is None:
        Draft.objects.filter(user=user, secret=secret).delete()
        return Content()
    values = {"edits": _text(after), "base_version": after.base_version, "ends_at": after.ends_at}
    made, new = Draft.objects.get_or_create(user=user, secret=secret, defaults=values)
    if not new:
        Draft.objects.filter(pk=made.pk).update(**values, edited=made.edited + 1)
    return after


def discard(user: Any, secret: Secret, seen: Content | None = None) -> None:
    """Erases a draft; with `seen` only if nothing was typed since."""
    rows = Draft.objects.filter(user=user, secret=secret)
    (rows if seen is None else rows.filter(edited=seen.edited)).delete()


def erase_ended() -> None:
    """The tick: erases the drafts whose time is over."""
    Draft.objects.filter(ends_at__lte=timezone.now()).delete()


def _content(row: Draft) -> Content:
    stored = json.loads(row.edits) if row.edits else {"edits": []}
    edits = tuple(Edit(**{**one, "value": _bytes(one["value"])}) for one in stored["edits"])
    loose = _bytes(stored.get("loose"))
    register(value for value in (loose, *(edit.value for edit in edits)) if value)
    return Content(edits, loose, row.base_version, row.ends_at, row.edited)


def _text(content: Content) -> str:
    edits = [
        {"secret": e.secret, "key": e.key, "do": e.do, "value": _base64(e.value), "to": e.to}
        for e in content.edits
    ]
    return json.dumps({"edits": edits, "loose": _base64(content.loose)})


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
