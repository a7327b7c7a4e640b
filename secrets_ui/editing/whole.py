"""A whole Secret added to a file or removed from it: kept in the draft, and laid over the current version with the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from django.core.exceptions import ValidationError

from audit.actors import Actor
from core.errors import Refused
from core.secret_values import register
from engine.errors import SlipwayError
from engine.manifests.secretfiles import key_problem
from projects.models import SecretsFile
from secrets_ui.editing.drafts import Content, Edit, change_draft, draft_of
from secrets_ui.editing.staging import known_secret
from secrets_ui.files.model import SecretsText
from secrets_ui.files.whole import NewSecret, add_secret, cannot_add, cannot_remove, remove_secret
from secrets_ui.known.public import Place, names_of
from secrets_ui.known.reading import opened_text, read_version
from secrets_ui.known.rights import require
from secrets_ui.values.secret_types import OPAQUE, TYPES, content_problem


def stage_new(actor: Actor, file: SecretsFile, name: str, type_: str, key: str, value: bytes) -> Content:
    """Puts a new Secret with its first keys into the draft: those that its type needs, blank, and the given one, if any. Reads
    the current version.

    Raises Refused, ValidationError by field (`name`, `type`, `key`), ExternalError, ManifestError; the value that was typed is
    kept in the draft then.
    """
    register([value] if value else [])
    require(actor, file, "edit", what=name)
    secret = known_secret(file)
    change_draft(actor.user, secret, lambda content: replace(content, loose=value or content.loose))
    opened = read_version(file, secret, secret.current_version).opened
    problems = _new_problems(opened, draft_of(actor.user, secret), name, type_, key)
    if problems:
        raise ValidationError(problems)
    needed = TYPES[type_]
    first = key or (needed[0] if needed else "")
    values = dict.fromkeys(needed, b"") | ({first: value} if first else {})
    keys = tuple(Edit(name, each, "add", given) for each, given in values.items())
    made = (Edit(name, "", "new", to=type_), *keys)
    return change_draft(
        actor.user, secret, lambda content: replace(content, edits=(*content.edits, *made), loose=None)
    )


def _new_problems(
    opened: SecretsText, content: Content, name: str, type_: str, key: str
) -> dict[str, list[str]]:
    if problem := cannot_add(opened, name):
        return {"name": [problem]}
    if content.whole(name) is not None:
        return {"name": [f"You are adding a Secret {name} already."]}
    if type_ not in TYPES:
        return {"type": ["There is no such type here."]}
    if not key and type_ == OPAQUE:
        return {"key": ["Write the name of its first key."]}
    return {"key": [f"This {problem}."]} if key and (problem := key_problem(key)) else {}


def stage_removal(actor: Actor, file: SecretsFile, name: str) -> Content:
    """Puts the removal of a Secret into the draft, in place of every edit of its keys. Reads the current version. Raises
    Refused, ExternalError, ManifestError."""
    require(actor, file, "edit", what=name)
    secret = known_secret(file)
    whole = draft_of(actor.user, secret).whole(name)
    if whole is not None and whole.do == "new":
        return change_draft(actor.user, secret, lambda content: content.without_secret(name))
    opened = read_version(file, secret, secret.current_version).opened
    names = names_of(opened)
    problem = (
        "The file has no such Secret." if name not in names else cannot_remove(opened, names.index(name))
    )
    if problem:
        raise Refused(problem, hint="Nothing was changed.", code="not-editable")
    drop = Edit(name, "", "drop")
    return change_draft(
        actor.user,
        secret,
        lambda content: replace(content, edits=(*content.without_secret(name).edits, drop)),
    )


def new_values(content: Content, name: str) -> dict[str, bytes]:
    """The keys of a new Secret with their values, as the draft has them."""
    return {
        edit.key: edit.value or b"" for edit in content.edits if edit.secret == name and not edit.is_whole
    }


def key_edits(content: Content) -> tuple[Edit, ...]:
    """The edits of single keys in Secrets that stand in the file."""
    new = {edit.secret for edit in content.edits if edit.do == "new"}
    return tuple(edit for edit in content.edits if not edit.is_whole and edit.secret not in new)


def with_whole(opened: SecretsText, content: Content) -> tuple[SecretsText, dict[Place, str]]:
    """The file with the Secrets that come and go, and why one cannot, by its place; what another save has removed meanwhile is
    gone as it should be."""
    problems: dict[Place, str] = {}
    for edit, index in _dropped(opened, content):
        try:
            opened = opened_text(remove_secret(opened, index))
        except SlipwayError as error:
            problems[edit.place] = _said(error)
        if new_values(content, edit.secret):
            problems[edit.place] = "Keys of this Secret are changed, too: undo the one or the other."
    for edit in content.edits:
        if edit.do != "new":
            continue
        values = new_values(content, edit.secret)
        try:
            opened = opened_text(add_secret(opened, NewSecret(edit.secret, edit.to, values)))
        except SlipwayError as error:
            problems[edit.place] = _said(error)
        if problem := content_problem(edit.to, values):
            problems[edit.place] = problem
    return opened, problems


def _said(error: SlipwayError) -> str:
    return f"{error.message} {error.hint}".strip()


def _dropped(opened: SecretsText, content: Content) -> Iterator[tuple[Edit, int]]:
    """The Secrets to remove with their places, the last first, so that the places of the others stay."""
    names = names_of(opened)
    found = [
        (edit, names.index(edit.secret))
        for edit in content.edits
        if edit.do == "drop" and edit.secret in names
    ]
    return iter(sorted(found, key=lambda pair: -pair[1]))


def whole_edits(before: Collection[str], after: SecretsText) -> tuple[Edit, ...]:
    """What makes the Secrets of those names the Secrets of another version."""
    names = names_of(after)
    pairs = [(name, one) for name, one in zip(names, after.secrets, strict=True) if name not in before]
    made = [Edit(name, "", "new", to=one.type or OPAQUE) for name, one in pairs]
    return (*made, *(Edit(name, "", "drop") for name in sorted(set(before) - set(names))))
