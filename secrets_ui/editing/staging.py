"""Edits go into the draft first: each function checks the right and the key, and touches nothing that anybody else sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from django.core.exceptions import ValidationError

from audit.actors import Actor
from core.errors import Refused
from core.secret_values import register
from engine.manifests.secretfiles import key_problem
from projects.models import SecretsFile
from projects.secret_rights import Right
from secrets_ui.editing.drafts import Content, Edit, change_draft, discard, draft_of
from secrets_ui.known.public import Key, Place, keys_of, label, names_of
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import require
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import Secret, SecretVersion
from secrets_ui.values.mends import MENDS

MAX_BYTES = 65_536
# More that one click does to the ends of lines; values.mends has those for what is odd.
LINE_ENDS: Mapping[str, Callable[[bytes], bytes]] = {
    "add-final": lambda value: value + (b"\r\n" if b"\r\n" in value else b"\n"),
    "to-crlf": lambda value: value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
}
AS_WRITTEN = ("not-base64", "maybe-not-base64")


def require_known(actor: Actor, file: SecretsFile, right: Right) -> Secret:
    """The secret of a file, on which the actor has the right. Raises Refused, also while nothing is known of the secret."""
    secret = secret_of(file)
    require(actor, file, right, secret=secret)
    return _known(secret)


def known_secret(file: SecretsFile) -> Secret:
    """The secret of a file that can be edited. Raises Refused while nothing is known of it."""
    return _known(secret_of(file))


def _known(secret: Secret | None) -> Secret:
    if secret is None or not secret.current_version:
        raise Refused(
            "Nothing is known of this secret yet: AWS has not answered. Nothing was changed.",
            hint="Look at the page again in a moment, and check the name of the secret in the settings.",
            code="busy",
        )
    return secret


def known_keys(secret: Secret, version_id: str) -> dict[Place, Key]:
    """The keys of a version, as far as it was read."""
    row = SecretVersion.objects.filter(secret=secret, version_id=version_id).first()
    return keys_of(row.keys) if row is not None else {}


def stage(actor: Actor, file: SecretsFile, edit: Edit) -> Content:
    """Puts an edit into the actor's draft. Raises Refused, and ValidationError by field (`key`, `to`, `value`); the value
    of a new key is kept in the draft when its name is refused, for the next try."""
    register([edit.value] if edit.value else [])
    require(actor, file, "edit", what=label(*edit.place))
    secret = known_secret(file)
    problems = _problems(known_keys(secret, secret.current_version), draft_of(actor.user, secret), edit)
    if problems:
        if edit.do == "add" and "key" in problems:
            change_draft(
                actor.user, secret, lambda content: replace(content, loose=edit.value or content.loose)
            )
        raise ValidationError(problems)
    return change_draft(actor.user, secret, lambda content: replace(merged(content, edit), loose=None))


def merged(content: Content, edit: Edit) -> Content:
    """The draft with another edit: what is done to a key that was added or renamed in it stays one edit."""
    before = content.find(edit.place)
    if before is not None and before.do == "add":
        if edit.do == "remove":
            return content.without(edit.place)
        if edit.do == "rename":
            return content.without(edit.place).with_edit(
                Edit(edit.secret, edit.to, "add", edit.value or before.value, source=before.source)
            )
        return content.with_edit(replace(before, value=edit.value, source=edit.source))
    if before is not None and before.do == "rename" and edit.do == "set":
        return content.with_edit(replace(before, value=edit.value, source=edit.source))
    if before is not None and before.do == "set" and edit.do == "rename" and edit.value is None:
        return content.with_edit(replace(edit, value=before.value, source=before.source))
    return content.with_edit(edit)


def _problems(keys: Mapping[Place, Key], content: Content, edit: Edit) -> dict[str, list[str]]:
    """The problems of an edit, by field."""
    whole = content.whole(edit.secret)
    if whole is not None and whole.do == "drop":
        return {"key": [f"You are removing the whole Secret {edit.secret}: undo that first."]}
    if problem := too_long(edit.value or b""):
        return {"value": [problem]}
    if edit.do == "add":
        return _name_problem("key", edit.secret, edit.key, keys, content)
    if edit.do == "rename":
        return _name_problem("to", edit.secret, edit.to, keys, content) or _locked(keys, edit)
    return _locked(keys, edit)


def too_long(value: bytes) -> str:
    """Why a value is too long to be stored; empty where it is not."""
    if len(value) <= MAX_BYTES:
        return ""
    return f"A value has at most {MAX_BYTES:,} bytes, this one has {len(value):,}. Nothing of it was kept."


def _name_problem(
    field: str, secret: str, name: str, keys: Mapping[Place, Key], content: Content
) -> dict[str, list[str]]:
    if problem := key_problem(name):
        return {field: [f"This {problem}."]}
    removed = content.find((secret, name))
    if (secret, name) in keys and (removed is None or removed.do not in ("remove", "rename")):
        return {field: [f"There is a key {name} already."]}
    if any(edit.do == "rename" and (edit.secret, edit.to) == (secret, name) for edit in content.edits):
        return {field: [f"Another key is being renamed to {name}."]}
    return {}


def _locked(keys: Mapping[Place, Key], edit: Edit) -> dict[str, list[str]]:
    key = keys.get(edit.place)
    return (
        {"value": [f"This key cannot be edited here: {key.locked}."]}
        if key is not None and key.locked
        else {}
    )


def undo(actor: Actor, file: SecretsFile, place: Place) -> Content:
    """Takes an edit back; of a new Secret with all its keys."""
    require(actor, file, "edit", what=label(*place))

    def undone(content: Content) -> Content:
        edit = content.find(place)
        return (
            content.without_secret(place[0])
            if edit is not None and edit.do == "new"
            else content.without(place)
        )

    return change_draft(actor.user, known_secret(file), undone)


def discard_draft(actor: Actor, file: SecretsFile) -> None:
    """Erases everything that the actor has typed for this secret."""
    require(actor, file, "edit")
    discard(actor.user, known_secret(file))


def mend(actor: Actor, file: SecretsFile, place: Place, code: str) -> Content:
    """Mends what is odd about a value, the typed one or else the stored one, in the draft. Raises Refused, ExternalError,
    ManifestError."""
    require(actor, file, "edit", what=label(*place))
    secret = known_secret(file)
    edit = draft_of(actor.user, secret).find(place)
    if edit is not None and edit.value is not None:
        return stage(actor, file, replace(edit, value=_mended(code, edit.value)))
    return stage(actor, file, Edit(*place, "set", _mended(code, _stored(file, secret, place, code))))


def _mended(code: str, value: bytes) -> bytes:
    how = LINE_ENDS.get(code) or MENDS.get(code)
    if code in AS_WRITTEN:
        return value
    if how is None:
        raise Refused("There is no such way to mend a value. Nothing was changed.", code="unknown")
    return how(value)


def _stored(file: SecretsFile, secret: Secret, place: Place, code: str) -> bytes:
    """The stored value; as it is written in the file, where that is what is meant."""
    opened = read_version(file, secret, secret.current_version).opened
    by_name = dict(zip(names_of(opened), opened.secrets, strict=True))
    entry = by_name[place[0]].entry(place[1]) if place[0] in by_name else None
    value = entry.raw.encode() if entry is not None and code in AS_WRITTEN else entry.value if entry else None
    if value is None:
        raise Refused("There is no such key any more. Nothing was changed.", code="unknown")
    return value
