"""The same key changed by two people: what it was, what each made of it, and a third value. Facts only, no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.merging import Merged
from secrets_ui.known.public import Key, Place, label, typed_key
from secrets_ui.models import Secret, SecretVersion
from secrets_ui.pages.rows import last_changes

MOST_VERSIONS = 100  # that are looked through for people
_MINE = {
    "set": "changed",
    "add": "added",
    "remove": "removed",
    "rename": "renamed",
    "drop": "removed as a whole",
}


@dataclass(frozen=True)
class Theirs:
    """A key that somebody else changed since the draft began; `who` is empty for a change outside of the portal."""

    place: str
    kind: str
    who: str
    when: datetime | None
    comment: str


@dataclass(frozen=True)
class Side:
    """A key on one side. `key` is None where it is not there."""

    key: Key | None
    kind: str = ""
    who: str = ""
    when: datetime | None = None
    comment: str = ""

    @property
    def notes(self) -> list[str]:
        """What is odd about the value, and how its lines end."""
        if self.key is None:
            return []
        ends = f"Its lines end with {self.key.breaks}." if self.key.breaks not in ("", "LF") else ""
        return [*(text for _, text, _ in self.key.flags), *([ends] if ends else [])]


@dataclass(frozen=True)
class Clash:
    """One key to decide. `keys`: of a Secret that the person removes as a whole, the keys that others changed. `chosen`, `error`:
    after a form that could not be taken."""

    place: Place
    edit: Edit
    was: Side
    theirs: Side
    mine: Side
    keys: tuple[str, ...] = ()
    alone: bool = False
    chosen: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        """As the page calls it."""
        if self.edit.is_whole:
            return self.edit.secret
        return self.place[1] if self.alone else self.id

    @property
    def id(self) -> str:
        """As forms name the key."""
        return label(*self.place)

    @property
    def takes_third(self) -> bool:
        """Whether a new value can be typed: not for the name that a key is renamed to, nor for a whole Secret."""
        return not self.edit.is_whole and self.edit.place == self.place


def clashes(secret: Secret, merged: Merged) -> list[Clash]:
    """What there is to decide, in the order of the merge."""
    later, earlier = history_around(secret, merged.base_version)
    edits = {place: edit for edit in merged.edits for place in edit.places}
    return [_clash(secret, merged, edits[place], place, later, earlier) for place in merged.clashes]


def _clash(
    secret: Secret, merged: Merged, edit: Edit, place: Place, later: Mapping[str, SecretVersion],
    earlier: Mapping[str, SecretVersion],
) -> Clash:  # fmt: skip
    if edit.do == "drop":
        return _drop_clash(merged, edit, later)
    now, name = merged.before.get(place), label(*place)
    theirs = _side(now, merged.theirs.get(place, ""), later.get(name))
    was = _side(merged.base.get(place), "", earlier.get(name))
    mine = Side(_mine(secret, edit, place, merged.base.get(edit.place)), _MINE[edit.do])
    alone = len({secret for secret, _ in merged.before}) == 1
    return Clash(place, edit, was, theirs, mine, alone=alone)


def _drop_clash(merged: Merged, edit: Edit, later: Mapping[str, SecretVersion]) -> Clash:
    places = [place for place in merged.theirs if place[0] == edit.secret]
    found = (later.get(label(*place)) for place in places)
    newest = max((row for row in found if row is not None), key=lambda row: row.pk, default=None)
    return Clash(
        edit.place, edit, Side(None), _side(None, "changed", newest), Side(None, _MINE["drop"]),
        keys=tuple(f"{key} {merged.theirs[edit.secret, key]}" for _, key in sorted(places)),
    )  # fmt: skip


def _mine(secret: Secret, edit: Edit, place: Place, before: Key | None) -> Key | None:
    """The key as the person wants it: none where it is removed, or called otherwise."""
    if edit.do == "remove" or (edit.do == "rename" and place == edit.place):
        return None
    if edit.value is None:
        return before
    return typed_key(secret.arn, *place, edit.value)


def _side(key: Key | None, kind: str, row: SecretVersion | None) -> Side:
    if row is None:
        return Side(key, kind)
    return Side(key, kind, row.actor_text, row.stored_at or row.created_at, row.comment)


def history_around(
    secret: Secret | None, base_version: str
) -> tuple[Mapping[str, SecretVersion], Mapping[str, SecretVersion]]:
    """The last version that touched a key, by the key's label: since the version that a draft began with, and up to it."""
    rows = list(
        SecretVersion.objects.filter(secret=secret, state=SecretVersion.State.STORED)
        .order_by("-id")
        .defer("keys")[:MOST_VERSIONS]
    )
    at = next((at for at, row in enumerate(rows) if row.version_id == base_version), len(rows))
    return last_changes(rows[:at]), last_changes(rows[at:])


def fitting(secret: Secret | None, merged: Merged) -> list[Theirs]:
    """What others changed that fits together with the draft."""
    later, _ = history_around(secret, merged.base_version) if merged.theirs else ({}, {})
    dropped = {edit.secret for edit in merged.edits if edit.do == "drop"}
    return [
        _their(place, kind, later.get(label(*place)))
        for place, kind in sorted(merged.theirs.items())
        if place not in merged.clashes and place[0] not in dropped
    ]


def _their(place: Place, kind: str, row: SecretVersion | None) -> Theirs:
    side = _side(None, kind, row)
    return Theirs(label(*place), kind, side.who, side.when, side.comment)


def with_answers(
    found: Iterable[Clash], chosen: Mapping[Place, str], errors: Mapping[Place, str]
) -> list[Clash]:
    """The same as a form that could not be taken had them decided."""
    return [
        replace(clash, chosen=chosen.get(clash.place, ""), error=errors.get(clash.place, ""))
        for clash in found
    ]
