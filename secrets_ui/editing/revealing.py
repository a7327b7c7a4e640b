"""One value at a time, for whoever has the right; that it was looked at is audited, the value is not."""

from __future__ import annotations

from typing import Literal

from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from projects.models import SecretsFile
from secrets_ui.editing.drafts import draft_of
from secrets_ui.editing.staging import known_secret
from secrets_ui.known.looking import look_again
from secrets_ui.known.public import Place, label, names_of
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import require
from secrets_ui.known.said import checked, unchecked
from secrets_ui.models import Secret, SecretVersion

How = Literal["shown", "copied", "downloaded", "opened for editing", "own draft shown"]


def reveal(
    actor: Actor,
    file: SecretsFile,
    place: Place,
    *,
    how: How = "shown",
    reason: str = "",
    version_id: str = "",
) -> bytes:
    """The value of a key, of the current version or a given one. On production a reason is needed.

    Raises Refused, ExternalError, ManifestError. What is told of it is written down before the value is given out, also when
    it could not be read (then without the reason); after reading, so that a reason that quotes a value is kept without it.
    """
    environments = require(actor, file, "reveal", what=label(*place))
    if any(environment.is_production for environment in environments) and not reason.strip():
        raise Refused("Say why you need to see this value. Nothing was shown.", code="reason")
    secret = known_secret(file)
    version = version_id or look_again(file).current_version
    why = unchecked(reason)
    try:
        opened = read_version(file, secret, version).opened
        why = _checked(actor, file, secret, version, reason)
    finally:
        _told(actor, file, place, how, why, version)
    by_name = dict(zip(names_of(opened), opened.secrets, strict=True))
    entry = by_name[place[0]].entry(place[1]) if place[0] in by_name else None
    if entry is None:
        raise Refused("There is no such key in this version.", code="unknown")
    return entry.raw.encode() if entry.value is None else entry.value


def _checked(actor: Actor, file: SecretsFile, secret: Secret, version: str, reason: str) -> str:
    """The reason without values: those of the version, of the one that it replaced where it waits or is an old one, and what
    the person has typed."""
    if not reason.strip():
        return ""
    draft_of(actor.user, secret)
    row = SecretVersion.objects.filter(secret=secret, version_id=version).defer("keys").first()
    is_other = row is not None and version != secret.current_version
    others = (row.base_version, secret.current_version) if row is not None and is_other else ()
    return checked(reason, file, secret, others)


def reveal_draft(actor: Actor, file: SecretsFile, place: Place) -> bytes:
    """The unsaved value of a key in the actor's draft. It may have come from the stored value, so the right to reveal is
    asked for, too."""
    require(actor, file, "reveal", what=label(*place))
    secret = known_secret(file)
    edit = draft_of(actor.user, secret).find(place)
    if edit is None or edit.value is None:
        raise Refused(
            "Nothing is kept for this key: it was never typed, or erased after half an hour.", code="ended"
        )
    _told(actor, file, place, "own draft shown", "", "")
    return edit.value


def _told(actor: Actor, file: SecretsFile, place: Place, how: How, why: str, version: str) -> None:
    environment = file.environment
    data = {"key": label(*place), "how": how, "version": version, "reason": why}
    record(
        actor, "secrets.revealed", target_kind="secrets", target_id=environment.pk,
        target_text=f"{environment.label}: {label(*place)}", project=environment.project.slug,
        data={name: value for name, value in data.items() if value},
    )  # fmt: skip
