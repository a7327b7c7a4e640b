"""Edits a secrets file so that only the keys that were edited change, and proves it by reading the result again."""

from __future__ import annotations

from collections.abc import Iterator

from engine.manifests.secretfiles import FLAT, key_problem
from secrets_ui.files.adding import add_keys, part_for
from secrets_ui.files.edits import Add, Edit, EditError, Edits, Place, Remove, Rename, Set
from secrets_ui.files.model import Entry, SecretsText
from secrets_ui.files.proof import NotAsMeant, meant, prove, reopened
from secrets_ui.files.splices import (
    CannotSplice,
    Splice,
    apply_splices,
    remove_block_pair,
    remove_flow_pair,
    set_value,
)
from secrets_ui.files.writing import text_scalar

MAX_STORED_BYTES = 65_536  # of the whole text: AWS's limit for a secret


def apply_edits(opened: SecretsText, edits: Edits) -> str:
    """The text of `edited_file`."""
    return edited_file(opened, edits).text


def edited_file(opened: SecretsText, edits: Edits) -> SecretsText:
    """The file with these edits, read again; every other byte stays. Edits that change nothing give the same file.

    Raises EditError for edits that cannot be made in place, and NotAsMeant when the result, read again, is not what was
    meant: then nothing may be written.
    """
    problems = {place: why for place, edit in edits.items() if (why := _problem(opened, place, edit))}
    problems |= _clashes(opened, edits)
    if problems:
        raise EditError(problems)
    wanted = {place: edit for place, edit in edits.items() if not _changes_nothing(opened, place, edit)}
    if not wanted:
        return opened
    result = _added(_changed(_removed(opened, wanted), wanted), wanted)
    prove(opened, result, meant(opened, wanted))
    return result


def room(text: str) -> tuple[int, int]:
    """Bytes used and bytes allowed of the stored text."""
    return len(text.encode("utf-8", "surrogatepass")), MAX_STORED_BYTES


def _problem(opened: SecretsText, place: Place, edit: Edit) -> str:
    index, key = place
    if not 0 <= index < len(opened.secrets):
        return "there is no such Secret in the file"
    secret = opened.secrets[index]
    entry = secret.entry(key)
    if isinstance(edit, Add):
        return "it exists already" if entry else secret.closed or key_problem(key)
    if entry is None:
        return "there is no such key"
    return entry.locked or (key_problem(edit.to) if isinstance(edit, Rename) else "")


def _clashes(opened: SecretsText, edits: Edits) -> dict[Place, str]:
    """Edits that would leave a key twice in one Secret."""
    gone = {place for place, edit in edits.items() if isinstance(edit, Remove | Rename)}
    taken = {(secret.index, entry.key) for secret in opened.secrets for entry in secret.entries} - gone
    found: dict[Place, str] = {}
    for (index, key), edit in edits.items():
        if isinstance(edit, Rename | Add):
            new = (index, edit.to if isinstance(edit, Rename) else key)
            if new in taken:
                found[index, key] = f"{new[1]} exists already"
            taken.add(new)
    return found


def _changes_nothing(opened: SecretsText, place: Place, edit: Edit) -> bool:
    entry = opened.secrets[place[0]].entry(place[1])
    if entry is None:
        return False
    if isinstance(edit, Rename):
        return edit.to == entry.key and edit.value in (None, entry.value)
    return isinstance(edit, Set) and edit.value == entry.value


def _removed(opened: SecretsText, edits: Edits) -> SecretsText:
    """Without the keys to remove. Mappings in braces lose one at a time, as commas are shared."""
    places = [place for place, edit in edits.items() if isinstance(edit, Remove)]
    lines = [place for place in places if not _entry(opened, place).holder.flow]
    opened = _spliced(opened, [(place, _line_removal(opened, place)) for place in lines])
    for place in places:
        if place not in lines:
            entry = _entry(opened, place)
            pairs = entry.holder.pairs
            cut = remove_flow_pair(opened.body, pairs, pairs.index(entry.pair))
            opened = _spliced(opened, [(place, iter(cut))])
    return opened


def _line_removal(opened: SecretsText, place: Place) -> Iterator[Splice]:
    entry = _entry(opened, place)
    pairs = entry.holder.pairs
    yield remove_block_pair(opened.body, pairs, pairs.index(entry.pair))


def _changed(opened: SecretsText, edits: Edits) -> SecretsText:
    """With new values and names."""
    wanted = [(place, edit) for place, edit in edits.items() if isinstance(edit, Set | Rename)]
    return _spliced(opened, [(place, _change(opened, place, edit)) for place, edit in wanted])


def _change(opened: SecretsText, place: Place, edit: Set | Rename) -> Iterator[Splice]:
    entry = _entry(opened, place)
    if isinstance(edit, Rename) and edit.to != entry.key:
        key = entry.pair[0]
        style = '"' if opened.tree.json else key.style
        yield Splice(key.start, key.end, text_scalar(edit.to, style))
    if edit.value is not None and edit.value != entry.value:
        yield from set_value(opened.body, entry, edit.value, json=opened.tree.json)


def _added(opened: SecretsText, edits: Edits) -> SecretsText:
    """With new keys, those of one mapping together."""
    groups: dict[tuple[int, str], dict[str, bytes]] = {}
    for (index, key), edit in edits.items():
        if isinstance(edit, Add):
            part = part_for(opened.secrets[index], edit.value, flat=opened.form == FLAT)
            groups.setdefault((index, part), {})[key] = edit.value
    for (index, part), values in groups.items():
        secret = opened.secrets[index]
        made = add_keys(opened.body, secret, part, values, json=opened.tree.json)
        opened = _spliced(opened, [((index, next(iter(values))), made)])
    return opened


def _spliced(opened: SecretsText, made: list[tuple[Place, Iterator[Splice]]]) -> SecretsText:
    """The text with all these splices, opened again. Raises EditError for the places that cannot be spliced."""
    if not made:
        return opened
    splices: list[Splice] = []
    problems: dict[Place, str] = {}
    for place, parts in made:
        try:
            splices += parts
        except CannotSplice as problem:
            problems[place] = str(problem)
    if problems:
        raise EditError(problems)
    try:
        body = apply_splices(opened.body, splices)
    except CannotSplice as problem:
        raise EditError({made[0][0]: str(problem)}) from None
    return reopened(opened.mark + body)


def _entry(opened: SecretsText, place: Place) -> Entry:
    entry = opened.secrets[place[0]].entry(place[1])
    if entry is None:
        raise NotAsMeant()
    return entry
