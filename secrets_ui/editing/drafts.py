"""Drafts hold typed values until they are saved: one encrypted row for each person and secret, for half an hour.

Nothing else keeps typed values: no session, no page, no hidden field.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from core.secret_values import register
from secrets_ui.known.public import Place
from secrets_ui.models import Draft, Secret

KEPT = timedelta(minutes=30)
Do = Literal["set", "add", "remove", "rename", "new", "drop"]
WHOLE: tuple[Do, ...] = ("new", "drop")  # of a Secret as a whole: such an edit names no key


@dataclass(frozen=True)
class Edit:
    """One edit of one key, or of a Secret as a whole. `to`: the new name of a rename; of a new Secret its type. `value`: None
    where the value stays, or goes. `source`: where the value comes from, as `SecretVersion.Source` has it."""

    secret: str
    key: str
    do: Do
    value: bytes | None = field(default=None, repr=False)
    to: str = ""
    source: str = "edit"

    @property
    def place(self) -> Place:
        """The key as it is called before."""
        return self.secret, self.key

    @property
    def places(self) -> set[Place]:
        """Every key that the edit touches."""
        return {self.place, (self.secret, self.to)} if self.do == "rename" else {self.place}

    @property
    def is_whole(self) -> bool:
        """It adds or removes a Secret."""
        return self.do in WHOLE


@dataclass(frozen=True)
class Content:
    """The content of a draft. `loose`: a value that was typed for a key that could not be added, kept for the next try.
    `pending`: pasted values that wait for their preview to be accepted. `edited`: counts the changes of the draft."""

    edits: tuple[Edit, ...] = ()
    loose: bytes | None = field(default=None, repr=False)
    pending: tuple[Edit, ...] = ()
    base_version: str = ""
    ends_at: datetime | None = None
    edited: int = 0

    def find(self, place: Place) -> Edit | None:
        """The edit of a key."""
        return next((edit for edit in self.edits if edit.place == place), None)

    def whole(self, secret: str) -> Edit | None:
        """The edit that adds or removes this Secret."""
        return next((edit for edit in self.edits if edit.is_whole and edit.secret == secret), None)

    def without_secret(self, secret: str) -> Content:
        """The same without any edit of this Secret and its keys."""
        return replace(self, edits=tuple(edit for edit in self.edits if edit.secret != secret))

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
    if not after.edits and not after.pending and after.loose is None:
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
    stored = json.loads(row.edits.open()) if row.edits else {"edits": []}
    edits, pending = (_edits(stored.get(name, ())) for name in ("edits", "pending"))
    loose = _bytes(stored.get("loose"))
    register(value for value in (loose, *(edit.value for edit in (*edits, *pending))) if value)
    return Content(edits, loose, pending, row.base_version, row.ends_at, row.edited)


def _edits(stored: Iterable[dict[str, Any]]) -> tuple[Edit, ...]:
    return tuple(Edit(**{**one, "value": _bytes(one["value"])}) for one in stored)


def _text(content: Content) -> str:
    edits, pending = ([_kept(edit) for edit in given] for given in (content.edits, content.pending))
    return json.dumps({"edits": edits, "loose": _base64(content.loose), "pending": pending})


def _kept(edit: Edit) -> dict[str, Any]:
    return {
        "secret": edit.secret, "key": edit.key, "do": edit.do, "value": _base64(edit.value), "to": edit.to,
        "source": edit.source,
    }  # fmt: skip


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
