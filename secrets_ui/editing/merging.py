"""A draft laid over the version that is current now, which may be a later one than the draft began with.

Keys that only one side touched fit together by themselves. The same key on both sides is a clash, for a person to decide;
it names keys and people, never values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import SlipwayError
from engine.types import Json
from projects.models import SecretsFile
from secrets_ui.editing.drafts import Content, Edit
from secrets_ui.editing.whole import key_edits, with_whole
from secrets_ui.files.edit import edited_file, room
from secrets_ui.files.edits import Add, EditError, Remove, Rename, Set
from secrets_ui.files.edits import Edit as FileEdit
from secrets_ui.files.model import SecretsText
from secrets_ui.files.proof import NotAsMeant
from secrets_ui.known.public import (
    Key,
    Place,
    changed_places,
    keys_after,
    keys_of,
    names_of,
    public_rows,
    register_values,
    touched,
    value_digest,
)
from secrets_ui.known.reading import Stored, read_version
from secrets_ui.models import Secret, SecretVersion


@dataclass(frozen=True)
class Merged:
    """The result of a save before it is made. `before`, `after`: keys of the current version and of the next one;
    `base`: of the version that the draft began with.

    `theirs`: what changed since the draft began, `clashes`: those of it that the draft changes, too, to something else.
    `problems`: why an edit cannot be made, by its key. `text` is None where there are clashes or problems;
    `rows` is what may be shown of it, `changes` what it changes, as rows of versions keep them.
    """

    base_version: str
    current: str
    edits: tuple[Edit, ...]
    before: Mapping[Place, Key]
    after: Mapping[Place, Key]
    base: Mapping[Place, Key]
    theirs: Mapping[Place, str]
    clashes: tuple[Place, ...]
    problems: Mapping[Place, str]
    text: str | None
    used: int
    allowed: int
    rows: list[Json] = field(default_factory=list, repr=False)
    changes: Json = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Merged({self.current!r}, {len(self.edits)} edits)"

    @property
    def changes_nothing(self) -> bool:
        """Everything that was typed is stored already."""
        return not self.clashes and not self.problems and changed_places(self.before, self.after) == {}


def merge(file: SecretsFile, secret: Secret, content: Content, current: str) -> Merged:
    """The draft laid over a version. Reads it, and the one that the draft began with where it is not known. Raises
    ExternalError, ManifestError."""
    stored = read_version(file, secret, current)
    before = keys_of(stored.rows)
    base = before if content.base_version == current else base_keys(file, secret, content.base_version)
    theirs = changed_places(base, before)
    clashes = tuple(place for edit in content.edits for place in _clashing(secret, edit, theirs, before))
    edited, problems = (None, {}) if clashes else applied(stored.opened, content)
    rows = _rows_after(stored, edited) if edited is not None else []
    after = keys_after(stored.rows, before, rows) if edited is not None else before
    used, allowed = room((edited or stored.opened).text)
    return Merged(
        content.base_version,
        current,
        content.edits,
        before,
        after,
        base,
        theirs,
        clashes,
        problems,
        edited.text if edited is not None else None,
        used,
        allowed,
        rows,
        touched(stored.rows, rows) if edited is not None else {},
    )


def _rows_after(stored: Stored, edited: SecretsText) -> list[Json]:
    """What may be shown of the edited text; keys that are as they were are not looked at again."""
    register_values(edited)
    return public_rows(stored.arn, edited, stored.told)


def base_keys(file: SecretsFile, secret: Secret, version_id: str) -> dict[Place, Key]:
    """The keys of the version that a draft began with; it is read if nobody has done so."""
    row = SecretVersion.objects.filter(secret=secret, version_id=version_id).first()
    if row is None or row.keys is None:
        return keys_of(read_version(file, secret, version_id).rows)
    return keys_of(row.keys)


def _clashing(
    secret: Secret, edit: Edit, theirs: Mapping[Place, str], now: Mapping[Place, Key]
) -> list[Place]:
    """The keys of an edit that somebody else changed to something else. A person who removes a Secret has not seen what became of
    its keys since: that is one clash, of the Secret."""
    if edit.do == "drop":
        is_touched = any(name == edit.secret for name, _ in theirs)
        return [edit.place] if is_touched and any(name == edit.secret for name, _ in now) else []
    found = sorted(edit.places & theirs.keys())
    return [place for place in found if not _agree(secret, edit, place, now.get(place))]


def _agree(secret: Secret, edit: Edit, place: Place, now: Key | None) -> bool:
    """Whether both wanted the same."""
    if edit.do == "remove":
        return now is None
    return (
        edit.do in ("set", "add")
        and now is not None
        and now.digest == value_digest(secret.arn, place, edit.value or b"")
    )


def applied(opened: SecretsText, content: Content) -> tuple[SecretsText | None, dict[Place, str]]:
    """The file with the edits, or why one cannot be made, by its key: single keys first, then whole Secrets."""
    edited, problems = _with_keys(opened, key_edits(content))
    if edited is None:
        return None, problems
    edited, problems = with_whole(edited, content)
    return (None, problems) if problems else (edited, {})


def _with_keys(opened: SecretsText, wanted: Sequence[Edit]) -> tuple[SecretsText | None, dict[Place, str]]:
    names = names_of(opened)
    edits: dict[tuple[int, str], FileEdit] = {}
    problems: dict[Place, str] = {}
    for edit in wanted:
        if edit.secret not in names:
            problems[edit.place] = "The file holds no Secret of this name any more."
            continue
        index = names.index(edit.secret)
        made = _file_edit(edit, exists=opened.secrets[index].entry(edit.key) is not None)
        if made is not None:
            edits[index, edit.key] = made
    if problems:
        return None, problems
    try:
        return edited_file(opened, edits), {}
    except EditError as error:
        return None, {(names[index], key): f"{problem}." for (index, key), problem in error.problems.items()}
    except NotAsMeant as error:
        return None, {edit.place: _said(error) for edit in wanted}


def _said(error: SlipwayError) -> str:
    return f"{error.message} {error.hint}".strip()


def _file_edit(edit: Edit, *, exists: bool) -> FileEdit | None:
    """The edit as the current file needs it: a key may have come or gone since."""
    value = edit.value or b""
    if edit.do == "remove":
        return Remove() if exists else None
    if edit.do == "rename":
        return Rename(edit.to, edit.value)
    return Set(value) if exists else Add(value)
