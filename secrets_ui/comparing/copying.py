"""A value goes from one environment into the draft of another, unseen."""

from __future__ import annotations

from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from core.secret_values import register
from projects.models import SecretsFile
from secrets_ui.editing.drafts import Content, Edit
from secrets_ui.editing.staging import known_keys, known_secret, stage
from secrets_ui.known.looking import look_again
from secrets_ui.known.public import Key, Place, label, names_of
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import is_production, require
from secrets_ui.known.said import checked, unchecked


def place_in(keys: dict[Place, Key], place: Place, secrets: list[str]) -> Place:
    """Where a key of one file stands in another one: in the Secret of the same name, else in the only one there is. Raises
    Refused where neither is."""
    names = list(dict.fromkeys(secret for secret, _ in keys)) or secrets
    if place[0] in names:
        return place
    if len(names) == 1:
        return names[0], place[1]
    raise Refused(
        f"The other file holds no Secret {place[0] or 'of that name'}. Nothing was copied.",
        hint="Add the key there by hand.",
        code="not-editable",
    )


def copy(
    actor: Actor, source: SecretsFile, target: SecretsFile, place: Place, *, reason: str = "", secrets: list[str]
) -> Content:  # fmt: skip
    """Puts the stored value of a key into the actor's draft of another environment, to be reviewed and saved there.

    The right to reveal here and to edit there is needed; out of production a reason, too, as for looking at the value: a draft
    of another environment must be no way around that. `secrets`: names of the target's Secrets where it has no keys yet. The
    same call again changes nothing. Raises Refused, ValidationError, ExternalError, ManifestError.
    """
    require(actor, source, "reveal", what=label(*place))
    require(actor, target, "edit", what=label(*place))
    if source.environment.project_id != target.environment.project_id or source.pk == target.pk:
        raise Refused("A value is copied to another environment of the same project.", code="unknown")
    if is_production(source) and not reason.strip():
        raise Refused("Say why this value leaves production. Nothing was copied.", code="reason")
    secret, there = known_secret(source), known_secret(target)
    to = place_in(known_keys(there, there.current_version), place, secrets)
    version = look_again(source).current_version
    why = unchecked(reason)
    try:  # first the reads: a reason that quotes the value, or the one that it is to replace, is kept without it
        opened = read_version(source, secret, version).opened
        why = checked(reason, target, there, [there.current_version])
    finally:
        _told(actor, source, target, place, why, version)
    by_name = dict(zip(names_of(opened), opened.secrets, strict=True))
    entry = by_name[place[0]].entry(place[1]) if place[0] in by_name else None
    if entry is None or entry.value is None:
        raise Refused(
            "There is no such key any more, or its value cannot be read. Nothing was copied.", code="unknown"
        )
    register([entry.value])
    is_there = to in known_keys(there, there.current_version)
    return stage(actor, target, Edit(*to, "set" if is_there else "add", entry.value, source="copy"))


def _told(
    actor: Actor, source: SecretsFile, target: SecretsFile, place: Place, why: str, version: str
) -> None:
    environment = source.environment
    data = {"key": label(*place), "to": target.environment.label, "version": version,
            "reason": why}  # fmt: skip
    record(
        actor, "secrets.copied", target_kind="secrets", target_id=environment.pk,
        target_text=f"{environment.label}: {label(*place)}", project=environment.project.slug,
        data={name: value for name, value in data.items() if value},
    )  # fmt: skip
