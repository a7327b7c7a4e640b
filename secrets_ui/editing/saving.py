"""Saving what was typed: the draft over what is current, as one new version."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

from audit.actors import Actor
from core.errors import Refused
from projects.models import SecretsFile
from secrets_ui.editing.asking import store
from secrets_ui.editing.drafts import Content, change_draft, discard, draft_of
from secrets_ui.editing.merging import Merged, merge
from secrets_ui.editing.staging import require_known
from secrets_ui.editing.writing import SOURCE, STATE, Wanted
from secrets_ui.known.looking import look_again
from secrets_ui.known.public import Place, label
from secrets_ui.known.said import checked
from secrets_ui.models import Secret, SecretVersion


def review(actor: Actor, file: SecretsFile) -> Merged:
    """Merges the actor's draft into the current version, without a write. Raises Refused, ExternalError, ManifestError."""
    secret = require_known(actor, file, "edit")
    content = draft_of(actor.user, secret)
    if not content.edits:
        raise nothing_typed()
    return merge(file, secret, content, look_again(file, secret).current_version)


def nothing_typed() -> Refused:
    """There is no draft, or its half hour is over."""
    return Refused(
        "There is nothing to save: nothing was typed, or it was erased after half an hour.",
        hint="Nothing was changed.",
        code="ended",
    )


def save(actor: Actor, file: SecretsFile, *, token: str, comment: str) -> SecretVersion | None:
    """Saves the actor's draft; None when all of it is stored already. `token`: a UUID, the same for a form sent twice.

    Raises Refused (also for clashes, and where the comment is missing), ExternalError, ManifestError. The draft is kept
    unless it was saved.
    """
    secret = require_known(actor, file, "edit")
    if not comment.strip():
        raise Refused("Say in a few words why. Nothing was saved; what you typed is kept.", code="reason")
    if (done := finished(actor, secret, token)) is not None:
        return done
    content = draft_of(actor.user, secret)
    if not content.edits:
        raise nothing_typed()
    merged = merge(file, secret, content, look_again(file, secret).current_version)
    if merged.changes_nothing:
        discard(actor.user, secret, content)
        return None
    text = text_of(merged)
    if content.base_version != merged.current:  # the comment may quote what the person saw
        comment = checked(comment, file, secret, [content.base_version])
    how = source_of(content)
    wanted = Wanted(text, merged.current, token, how, comment.strip(), merged.rows, merged.changes)
    row = store(actor, file, secret, wanted)
    discard(actor.user, secret, content)
    return row


def source_of(content: Content) -> str:
    """Where all edits come from, if that is one place; what comes from several is an edit."""
    sources = {edit.source for edit in content.edits}
    return sources.pop() if len(sources) == 1 else SOURCE.EDIT


def finished(actor: Actor, secret: Secret, token: str) -> SecretVersion | None:
    """The version of a form that was sent before and stored, or waits."""
    uuid.UUID(token)
    return SecretVersion.objects.filter(
        secret=secret,
        version_id=token,
        state__in=(STATE.STORED, STATE.WAITING),
        actor_kind=actor.kind,
        actor_id=actor.id,
    ).first()


def text_of(merged: Merged) -> str:
    """The text to store. Raises Refused naming the keys that somebody has to look at first."""
    if merged.clashes:
        names = ", ".join(label(*place) for place in merged.clashes)
        raise Refused(
            f"Another save changed {names} meanwhile. Nothing was saved; what you typed is kept.",
            hint="Say whose value stays.",
            code="stale",
        )
    if merged.text is None:
        place, problem = next(iter(merged.problems.items()))
        raise Refused(f"{label(*place)}: {problem} Nothing was saved.", code="not-editable")
    return merged.text


def resolve(actor: Actor, file: SecretsFile, *, current: str, mine: Mapping[Place, bool]) -> Content:
    """Decides clashes against a version: for each key whether the actor's own edit stays. What is not named stays as it
    is, and clashes again. Nothing is saved by this."""
    secret = require_known(actor, file, "edit")

    def decided(content: Content) -> Content:
        edits = tuple(edit for edit in content.edits if all(mine.get(place, True) for place in edit.places))
        return replace(content, edits=edits, base_version=current)

    merged = merge(file, secret, draft_of(actor.user, secret), look_again(file).current_version)
    undecided = [place for place in merged.clashes if place not in mine]
    if merged.current != current or undecided:
        raise Refused(
            "Yet another version was saved meanwhile, or a key is undecided. What you typed is kept.",
            hint="Look at the review again.",
            code="stale",
        )
    return change_draft(actor.user, secret, decided)
