"""What saving a draft would change, line by line: names, kinds and lengths, no value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.merging import Merged
from secrets_ui.known.public import Key, label, typed_key
from secrets_ui.known.reference import Reference
from secrets_ui.pages.views_of_files import is_flat

_WORDS = {
    "set": "changed", "add": "added", "remove": "removed", "rename": "renamed", "new": "Secret added", "drop": "Secret removed",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One line of the review. `before`, `after`: the key without its value. `keys`: of a Secret that comes or goes as a whole.
    `readers`: workloads that read the key, or any key of the Secret."""

    edit: Edit
    kind: str
    before: Key | None
    after: Key | None
    problem: str = ""
    readers: tuple[str, ...] = ()
    alone: bool = False
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As the page calls it: a file of one Secret does not repeat that one's name."""
        if self.edit.is_whole:
            return self.edit.secret
        return self.edit.key if self.alone else self.place

    @property
    def place(self) -> str:
        """The key as it is called before."""
        return label(*self.edit.place)

    @property
    def flags(self) -> list[tuple[str, str, str]]:
        """Oddities of the new value."""
        return list(self.after.flags) if self.after is not None and self.edit.value is not None else []

    @property
    def length(self) -> SafeString:
        """`10 → 95`, of a removed key `10 → –`."""
        if self.edit.is_whole:
            return SafeString("")
        numbers = [f"{key.length:,}" if key else "–" for key in (self.before, self.after)]
        return _arrow(numbers if self.before else numbers[1:])

    @property
    def kinds(self) -> SafeString:
        """`text → URL`."""
        return _arrow([key.kind for key in (self.before, self.after) if key])

    @property
    def ends(self) -> SafeString:
        """How line ends change, where they do."""
        texts = [_ends(key) for key in (self.before, self.after) if key]
        is_odd = len(set(texts)) > 1 or (self.before is None and self.after is not None and self.after.breaks)
        return _arrow(texts) if is_odd else SafeString("")


def changes(arn: str, merged: Merged, reference: Reference) -> list[Change]:
    """The edits as lines; those that change nothing any more are left out. `arn`: of the secret."""
    made = [_change(arn, merged, reference, edit) for edit in merged.edits]
    if merged.problems or merged.clashes:
        return made
    return [change for change in made if not _changes_nothing(change)]


def _changes_nothing(change: Change) -> bool:
    if change.edit.do == "drop":
        return not change.keys
    return change.before is not None and change.before == change.after


def _change(arn: str, merged: Merged, reference: Reference, edit: Edit) -> Change:
    if edit.is_whole:
        return _whole(merged, reference, edit)
    names = {secret for secret, _ in merged.before} | {one.secret for one in merged.edits}
    new_key = edit.to if edit.do == "rename" else edit.key
    after = merged.after.get((edit.secret, new_key)) if edit.do != "remove" else None
    # Nothing was put together: what was typed is told by itself.
    if merged.text is None and edit.value is not None:
        after = typed_key(arn, edit.secret, new_key, edit.value)
    before = merged.before.get(edit.place)
    kind = "added" if edit.do in ("set", "add") and before is None else _WORDS[edit.do]
    kind = "changed" if edit.do == "add" and before is not None else kind
    readers = tuple(reference.read_by(edit.place)) if not is_flat(merged.before) else ()
    problem = merged.problems.get(edit.place, "")
    return Change(edit, kind, before, after, problem, readers, alone=len(names) == 1)


def _whole(merged: Merged, reference: Reference, edit: Edit) -> Change:
    typed = [one.place for one in merged.edits if not one.is_whole]
    keys = tuple(
        key for secret, key in (merged.before if edit.do == "drop" else typed) if secret == edit.secret
    )
    readers = dict.fromkeys(name for key in ("", *keys) for name in reference.read_by((edit.secret, key)))
    return Change(
        edit, _WORDS[edit.do], None, None, merged.problems.get(edit.place, ""), tuple(readers), keys=keys
    )


def counted(made: Iterable[Change]) -> str:
    """`1 added, 2 changed`."""
    kinds = [change.kind for change in made]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in _WORDS.values() if kind in kinds)


def touched_number(made: Iterable[Change]) -> int:
    """How many stored keys do not stay as they are."""
    return sum(len(change.keys) if change.edit.do == "drop" else bool(change.before) for change in made)


def removed_number(merged: Merged) -> int:
    """How many keys go away."""
    gone = {edit.secret for edit in merged.edits if edit.do == "drop"}
    single = sum(1 for edit in merged.edits if edit.do == "remove")
    return single + sum(1 for secret, _ in merged.before if secret in gone)


def _arrow(texts: list[str]) -> SafeString:
    if not texts:
        return SafeString("")
    if len(set(texts)) == 1:
        return format_html("{}", texts[0])
    return format_html("{} → {}", texts[0], texts[-1])


def _ends(key: Key) -> str:
    return f"{key.breaks}{', final' if key.final else ', no final'} line end" if key.breaks else "no line end"
