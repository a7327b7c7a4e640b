"""Many values at once from a text: read, compared with what is stored, and taken into the draft when the person says so.

Between the preview and that click the values wait in the person's encrypted draft, as everything that was typed does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from audit.actors import Actor
from core.errors import Refused
from core.secret_values import register
from engine.errors import SlipwayError
from projects.models import SecretsFile
from secrets_ui.editing.drafts import Content, Edit, change_draft, draft_of
from secrets_ui.editing.staging import MAX_BYTES, known_keys, known_secret, merged
from secrets_ui.known.public import Key, Place, value_digest
from secrets_ui.known.rights import require
from secrets_ui.models import Secret
from secrets_ui.values.bulk import read_pasted
from secrets_ui.values.kinds import Kind, kind_of

MAX_TEXT = 131_072  # bytes; base64 and comments take room that AWS's 65,536 do not have to hold
MAX_PROBLEMS = 20
ADDED, CHANGED, LEFT = "added", "changed", "left"


class NotReadable(SlipwayError):
    """The text cannot be taken as it is. `problems`: line (0: of the whole) and sentence; none quotes a value."""

    code = "not-editable"

    def __init__(self, problems: Sequence[tuple[int, str]]) -> None:
        number = len(problems)
        super().__init__(
            f"{number} thing{'' if number == 1 else 's'} in the text cannot be taken. Nothing was changed.",
            hint="Mend the text and give it again: it is not kept.",
        )
        self.problems = tuple(sorted(problems)[:MAX_PROBLEMS])


@dataclass(frozen=True)
class Planned:
    """What would become of one key. `change`: added, changed or left. `typed`: an edit of the draft would be replaced."""

    place: Place
    change: str
    before: Key | None
    kind: Kind
    typed: bool


def text_of(content: bytes) -> str:
    """An uploaded text. Raises NotReadable unless it is UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise NotReadable([(0, "The file is not text in UTF-8.")]) from None


def prepare(actor: Actor, file: SecretsFile, text: str, *, secret: str = "") -> list[Planned]:
    """Reads a pasted or uploaded text and keeps its values aside in the draft; nothing of the draft is changed yet.

    `secret`: the Secret of the file that the keys are for. Raises Refused, and NotReadable by line: then nothing is kept.
    """
    require(actor, file, "edit")
    held = known_secret(file)
    if len(text.encode()) > MAX_TEXT:
        raise NotReadable([(0, f"The text is longer than {MAX_TEXT:,} bytes.")])
    pasted = read_pasted(text)
    register(value for value in pasted.values.values() if value)
    keys = known_keys(held, held.current_version)
    problems = [(line, f"{sentence[:1].upper()}{sentence[1:]}.") for line, sentence in pasted.problems]
    problems += _problems(pasted.values, keys, secret)
    if problems:
        raise NotReadable(problems)
    if not pasted.values:
        raise NotReadable([(0, "The text holds no values.")])
    edits = tuple(
        Edit(secret, key, "set" if (secret, key) in keys else "add", value, source="import")
        for key, value in pasted.values.items()
    )
    return planned(
        held, keys, change_draft(actor.user, held, lambda content: replace(content, pending=edits))
    )


def _problems(values: Mapping[str, bytes], keys: Mapping[Place, Key], secret: str) -> list[tuple[int, str]]:
    names = {name for name, _ in keys}
    if names and secret not in names:
        return [(0, "The file holds no Secret of this name.")]
    problems = []
    for key, value in values.items():
        stored = keys.get((secret, key))
        if len(value) > MAX_BYTES:
            problems.append(
                (0, f"The value of {key} has {len(value):,} bytes; at most {MAX_BYTES:,} are taken.")
            )
        elif stored is not None and stored.locked:
            problems.append((0, f"{key} cannot be edited here: {stored.locked}."))
    return problems


def waiting(actor: Actor, file: SecretsFile) -> list[Planned]:
    """The preview again. Raises Refused when nothing waits."""
    require(actor, file, "edit")
    held = known_secret(file)
    content = draft_of(actor.user, held)
    if not content.pending:
        raise _nothing_waits()
    return planned(held, known_keys(held, held.current_version), content)


def _nothing_waits() -> Refused:
    return Refused(
        "No pasted values wait: they were taken, or erased after half an hour.",
        hint="Give the text again.",
        code="ended",
    )


def planned(secret: Secret, keys: Mapping[Place, Key], content: Content) -> list[Planned]:
    """What would become of each key, told by digests of this secret's keys."""
    found = []
    for edit in content.pending:
        before, value = keys.get(edit.place), edit.value or b""
        same = before is not None and before.digest == value_digest(secret.arn, edit.place, value)
        change = LEFT if same else ADDED if before is None else CHANGED
        found.append(
            Planned(edit.place, change, before, kind_of(value), content.find(edit.place) is not None)
        )
    return found


def take(actor: Actor, file: SecretsFile) -> Content:
    """Takes the waiting values into the draft, all but those that are stored already. Sent twice it changes nothing more.
    Raises Refused."""
    require(actor, file, "edit")
    held = known_secret(file)
    left = {plan.place for plan in waiting(actor, file) if plan.change == LEFT}

    def taken(content: Content) -> Content:
        for edit in content.pending:
            content = content.without(edit.place) if edit.place in left else merged(content, edit)
        return replace(content, pending=())

    return change_draft(actor.user, held, taken)


def drop(actor: Actor, file: SecretsFile) -> None:
    """Erases the waiting values; what was typed stays."""
    require(actor, file, "edit")
    change_draft(actor.user, known_secret(file), lambda content: replace(content, pending=()))
