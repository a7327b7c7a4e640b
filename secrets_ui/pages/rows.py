"""The rows of a page of secrets: keys as they stand in AWS against those of the reference file, without any value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from secrets_ui.editing.drafts import Content, Edit
from secrets_ui.known.public import CRLF, UNREADABLE, Key, Place, changed_places, label
from secrets_ui.known.reference import Reference
from secrets_ui.models import SecretVersion
from secrets_ui.values.kinds import BINARY, EMPTY, LINES, PEM

ORDER = ("missing", UNREADABLE, "placeholder", "blank", "extra", "changed", "set")
ATTENTION = frozenset(ORDER[:5])
SHOWN_BY_STATE = {"placeholder", UNREADABLE}  # findings that the state says already


@dataclass(frozen=True)
class Row:
    """One key. `key` is None where it is missing, or removed and still running; `edit`: what the person has typed for it and
    not saved. `alone`: the file holds one Secret only."""

    place: Place
    state: str
    key: Key | None
    changed_at: datetime | None = None
    changed_by: str = ""
    readers: Sequence[str] = ()
    note: str = ""
    changed: bool = False
    edit: Edit | None = None
    alone: bool = False

    @property
    def name(self) -> str:
        """As the page calls it: a file of one Secret does not repeat that one's name."""
        return self.place[1] if self.alone else self.id

    @property
    def id(self) -> str:
        """Its address within the page, and in links to it."""
        return label(*self.place)

    @property
    def typed_id(self) -> str:
        """What an undo takes back: the edit of the key, or of its Secret."""
        return label(*self.edit.place) if self.edit is not None else self.id

    @property
    def kind(self) -> str:
        """The kind of its value, for people."""
        return "" if self.key is None or self.key.kind in (EMPTY, UNREADABLE) else self.key.kind

    @property
    def is_binary(self) -> bool:
        """It comes and goes by file only."""
        return self.key is not None and self.key.kind == BINARY

    @property
    def is_long(self) -> bool:
        """It has several lines."""
        return self.key is not None and self.key.kind in (LINES, PEM)

    @property
    def line_ends(self) -> str:
        """How its lines end, where it has several."""
        if self.key is None or not self.key.breaks or not (self.is_long or self.key.breaks != "LF"):
            return ""
        last = "with an end of the last line" if self.key.final else "without an end of the last line"
        return f"{self.key.breaks}, {last}"

    @property
    def keeps_windows_ends(self) -> bool:
        """Whether a typed value is stored with CR LF, as the stored value has it."""
        return self.key is not None and self.key.breaks == CRLF

    @property
    def flags(self) -> list[tuple[str, str, str]]:
        """Oddities beside its state: code, sentence, the words of the mend."""
        return [flag for flag in self.key.flags if flag[0] not in SHOWN_BY_STATE] if self.key else []

    @property
    def can_change(self) -> bool:
        """Whether it can be set, changed or removed in place, and its Secret is not to go as a whole."""
        is_locked = self.key is not None and bool(self.key.locked)
        return not is_locked and (self.edit is None or self.edit.do != "drop")

    @property
    def has_more(self) -> bool:
        """Whether more than its name is told of it."""
        return bool(self.readers or self.note or self.edit or self.line_ends or self.flags) or (
            self.key is not None and bool(self.key.locked)
        )

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look at it."""
        return self.state in ATTENTION or bool(self.flags)

    @property
    def weight(self) -> tuple[int, str]:
        """Sorts rows that need attention first, then by name."""
        state = ORDER.index(self.state) if self.state in ATTENTION else len(ORDER)
        return state, self.id


@dataclass(frozen=True)
class Counts:
    """How many keys a file has, and how many of them are in which state."""

    total: int = 0
    missing: int = 0
    unreadable: int = 0
    placeholder: int = 0
    blank: int = 0
    extra: int = 0
    flagged: int = 0
    changed: int = 0

    @property
    def attention(self) -> int:
        """Keys that somebody should look at."""
        return self.missing + self.unreadable + self.placeholder + self.blank + self.extra + self.flagged

    @property
    def parts(self) -> list[tuple[str, int]]:
        """Pairs of a state's word and a number, without zeros."""
        named = [(state, getattr(self, state)) for state in ORDER[:5]]
        return [(state, number) for state, number in [*named, ("warning", self.flagged)] if number]


def rows(
    keys: Mapping[Place, Key], wanted: Mapping[Place, str] | None, *, reference: Reference, flat: bool,
    serving: Mapping[Place, Key] | None, history: Iterable[SecretVersion] = (), draft: Content | None = None,
) -> list[Row]:  # fmt: skip
    """Every key, the ones that need attention first. `wanted`: of the reference file, None where it could not be read;
    `serving`: keys of the version that runs, None where that is not known."""
    wanted = _flat(wanted) if flat and wanted is not None else wanted
    changed = changed_places(serving, keys) if serving is not None else {}
    by, typed = last_changes(history), draft or Content()
    dropped = {edit.secret: edit for edit in typed.edits if edit.do == "drop"}
    added = {edit.place for edit in typed.edits if edit.do == "add"}
    gone = [place for place, kind in changed.items() if kind == "removed"]
    places = [*keys, *(place for place in [*(wanted or {}), *added, *gone] if place not in keys)]
    alone = len({secret for secret, _ in places}) == 1
    found = [
        Row(
            place,
            _state(keys.get(place), place, wanted, changed.get(place, "")),
            keys.get(place),
            *_who(by.get(label(*place))),
            readers=reference.read_by(_in_manifests(place, reference, flat=flat)),
            note=_note(keys.get(place), place, wanted, changed.get(place, "")),
            changed=place in changed,
            edit=typed.find(place) or dropped.get(place[0]),
            alone=alone,
        )
        for place in dict.fromkeys(places)
    ]
    return sorted(found, key=lambda row: row.weight)


def _flat(wanted: Mapping[Place, str]) -> dict[Place, str]:
    """A flat object stands for the one Secret of the reference."""
    return {("", key): sample for (_, key), sample in wanted.items()}


def _in_manifests(place: Place, reference: Reference, *, flat: bool) -> Place:
    names = {secret for places in reference.wanted.values() for secret, _ in places}
    return (next(iter(names)), place[1]) if flat and len(names) == 1 else place


def _state(key: Key | None, place: Place, wanted: Mapping[Place, str] | None, change: str) -> str:
    if key is None:
        return "missing" if wanted and place in wanted else change or "new"
    if key.kind == UNREADABLE:
        return UNREADABLE
    if key.kind == EMPTY:
        return "blank"
    if key.has("placeholder") or (wanted or {}).get(place) == key.digest:
        return "placeholder"
    if wanted is not None and place not in wanted:
        return "extra"
    return "changed" if change else "set"


def _note(key: Key | None, place: Place, wanted: Mapping[Place, str] | None, change: str) -> str:
    if key is None and wanted and place in wanted:
        return "in the reference file, not in AWS"
    if key is None:
        return "not in AWS any more, runs until the next deploy" if change else ""
    if (wanted or {}).get(place) == key.digest and key.kind != EMPTY:
        return "as in the reference file"
    return "not in the reference file" if wanted is not None and place not in wanted else ""


def _who(row: SecretVersion | None) -> tuple[datetime | None, str]:
    if row is None:
        return None, ""
    return row.stored_at or row.created_at, row.actor_text or "outside"


def last_changes(history: Iterable[SecretVersion]) -> dict[str, SecretVersion]:
    """Which version touched a key last, by its label; `history` comes newest first."""
    found: dict[str, SecretVersion] = {}
    for row in history:
        for name in labels_of(row):
            found.setdefault(name, row)
    return found


def labels_of(row: SecretVersion) -> Iterator[str]:
    """The keys that a version touched."""
    for kind in ("added", "changed", "removed"):
        yield from row.touched.get(kind, ())
    for before, after in row.touched.get("renamed", ()):
        yield from (before, after)


def counts(found: Sequence[Row]) -> Counts:
    """How many of them are in which state."""
    by = {state: sum(1 for row in found if row.state == state) for state in ORDER}
    flagged = sum(1 for row in found if row.flags and row.state not in ATTENTION)
    return Counts(
        total=sum(1 for row in found if row.key is not None),
        missing=by["missing"], unreadable=by[UNREADABLE], placeholder=by["placeholder"], blank=by["blank"],
        extra=by["extra"], flagged=flagged, changed=sum(1 for row in found if row.changed),
    )  # fmt: skip
