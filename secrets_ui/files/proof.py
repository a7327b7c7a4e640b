"""Reads an edited file again and compares it with what was meant, before anybody may store it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document
from engine.manifests.masking import values_of
from engine.manifests.secretfiles import FLAT, read_secrets
from engine.types import Source
from secrets_ui.files.adding import part_for
from secrets_ui.files.edits import Add, Edits, Remove, Rename, Set
from secrets_ui.files.model import DATA, STRING_DATA, Entry, Secret, SecretsText, open_text
from secrets_ui.files.nodes import MAPPING, Node

Line = tuple[str, str, str | bytes]  # part, key, and the bytes meant; the raw text of what cannot be read
_NUMBERS = re.compile(r":\d+")
_ANY_REFERENCE = Document(
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "any"}}, Source("any", 1)
)


class NotAsMeant(SlipwayError):
    """An edit would have changed more than its key, or would be read as another value."""

    code = "not-editable"

    def __init__(self) -> None:
        super().__init__(
            "This change cannot be made in place: the file would be read differently from what is meant.",
            hint="Nothing was changed. Change the file as text, or make the changes one after the other.",
        )


def reopened(text: str) -> SecretsText:
    """The edited text. Raises NotAsMeant when it cannot be opened any more."""
    try:
        return open_text(text)
    except ManifestError:
        raise NotAsMeant() from None


def meant(opened: SecretsText, edits: Edits) -> list[list[Line]]:
    """What each Secret is to hold after the edits, in order."""
    return [list(_meant(secret, opened, edits)) for secret in opened.secrets]


def _meant(secret: Secret, opened: SecretsText, edits: Edits) -> Iterator[Line]:
    added = [
        (key, edit.value)
        for (index, key), edit in edits.items()
        if index == secret.index and isinstance(edit, Add)
    ]
    removed = {
        key for (index, key), edit in edits.items() if index == secret.index and isinstance(edit, Remove)
    }
    left = [entry for entry in secret.entries if entry.key not in removed]
    target = {key: _target(secret, left, value, opened) for key, value in added}
    for part in (DATA, STRING_DATA, "object"):
        for entry in left:
            if entry.part == part:
                yield _after(entry, edits.get((secret.index, entry.key)))
        yield from ((part, key, value) for key, value in added if target[key] == part)


def _target(secret: Secret, left: list[Entry], value: bytes, opened: SecretsText) -> str:
    return part_for(replace(secret, entries=tuple(left)), value, flat=opened.form == FLAT)


def _after(entry: Entry, edit: object) -> Line:
    if isinstance(edit, Set):
        return entry.part, entry.key, edit.value
    if isinstance(edit, Rename):
        return entry.part, edit.to, _kept(entry) if edit.value is None else edit.value
    return entry.part, entry.key, _kept(entry)


def _kept(entry: Entry) -> str | bytes:
    """What must stay: the bytes, or the raw text of what cannot be read."""
    return entry.raw if entry.value is None else entry.value


def prove(before: SecretsText, after: SecretsText, wanted: list[list[Line]]) -> None:
    """Raises NotAsMeant unless the Secrets hold what is wanted, all else is as before, and the engine reads the same."""
    if before.form != after.form or len(before.secrets) != len(after.secrets):
        raise NotAsMeant()
    for secret, lines in zip(after.secrets, wanted, strict=True):
        if len(secret.entries) != len(lines):
            raise NotAsMeant()
        if not all(_is(entry, line) for entry, line in zip(secret.entries, lines, strict=True)):
            raise NotAsMeant()
    if _rest(before) != _rest(after) or not _engine_agrees(before, after):
        raise NotAsMeant()


def prove_whole(before: SecretsText, after: SecretsText, gone: int | None = None) -> None:
    """Compares the documents of an edited file with those before: one is new behind all others, or the one with that place
    is gone. Raises NotAsMeant."""
    told = [[_shape(root.node, set()) for root in one.tree.roots] for one in (before, after)]
    left = [shape for at, shape in enumerate(told[0]) if at != gone]
    if (told[1][:-1] if gone is None else told[1]) != left or not _engine_agrees(before, after):
        raise NotAsMeant()


def _is(entry: Entry, line: Line) -> bool:
    part, key, value = line
    return (entry.part, entry.key, entry.value if isinstance(value, bytes) else entry.raw) == (
        part,
        key,
        value,
    )


def _rest(opened: SecretsText) -> list[object]:
    """Everything but the Secrets' values, as a tree without places."""
    if opened.form == FLAT:
        return []
    secrets = {id(secret.node) for secret in opened.secrets}
    return [_shape(root.node, secrets) for root in opened.tree.roots]


def _shape(node: Node, secrets: set[int]) -> object:
    pairs = tuple(
        (_shape(key, secrets), _shape(value, secrets))
        for key, value in node.pairs
        if id(node) not in secrets or not _is_values(key, value)
    )
    items = tuple(_shape(item, secrets) for item in node.items)
    return node.kind, node.value, node.style, node.tag, node.anchor, pairs, items


def _is_values(key: Node, value: Node) -> bool:
    return key.value in (DATA, STRING_DATA) and (value.kind == MAPPING or value.is_null)


def _engine_agrees(before: SecretsText, after: SecretsText) -> bool:
    """The strict reader finds the same values; in a file that it refuses, no problem that was not there before."""
    problems, found = _strictly(after)
    if problems:
        return problems <= _strictly(before)[0]
    return found == [secret.values() for secret in after.secrets]


def _strictly(opened: SecretsText) -> tuple[set[str], list[dict[str, bytes]]]:
    try:
        documents = read_secrets(opened.text, path="secrets", reference=[_ANY_REFERENCE])
    except ManifestError as error:
        return {_NUMBERS.sub("", problem) for problem in error.problems}, []
    return set(), [dict(values_of(document.body)) for document in documents]
