"""One save: a row first, whose UUID becomes AWS's VersionId, then the calls to AWS outside of any transaction, then the row
is closed. A row that stays open is closed by `settling`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from adapters.aws.secret_errors import LostRace, check_size
from adapters.errors import ExternalError, TimedOut, Unavailable
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from core.redactor import redact_text
from engine.types import Json
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.known.looking import forget
from secrets_ui.known.public import public_rows, touched
from secrets_ui.known.reading import opened_text
from secrets_ui.known.said import said
from secrets_ui.models import Secret, SecretVersion

SOURCE, STATE = SecretVersion.Source, SecretVersion.State


@dataclass(frozen=True)
class Wanted:
    """A version to be made: over `base`, with AWS's token, and what history tells of it. `rows`, `touched`: what may be shown
    of the text, and what it changes, where that is known already."""

    text: str = field(repr=False)
    base: str
    token: str
    source: str
    comment: str
    rows: list[Json] = field(default_factory=list, repr=False)
    touched: Json | None = None


class NotKnown(Refused):
    """AWS did not say whether it stored the version; a tick finds out."""

    def __init__(self) -> None:
        super().__init__(
            "AWS did not say in time whether the version was stored. The portal finds out by itself.",
            hint="What you typed is kept. Look at the list of versions in two minutes.",
            code="outside-timeout",
        )


class CameFirst(Refused):
    """Another version became current in the very moment of saving."""

    def __init__(self) -> None:
        super().__init__(
            "Another version was saved in this very moment. Nothing was overwritten; what you typed is kept.",
            hint="Look at the review again: it shows both.",
            code="stale",
        )


def write(actor: Actor, file: SecretsFile, secret: Secret, wanted: Wanted) -> SecretVersion:
    """Stores a version and makes it current; the same token again is answered by what became of it.

    Raises CameFirst, NotKnown, and ExternalError (then nothing was stored).
    """
    check_size(file.secret_id, wanted.text)
    row, is_new = opened_row(actor, file, secret, wanted)
    if not is_new:
        return _answer(row)
    try:
        secrets_writer(file, hasty=True).swap(
            file.secret_id, wanted.text, token=wanted.token, base=wanted.base, first=is_new
        )
    except LostRace:
        close(row, STATE.REFUSED)
        raise CameFirst() from None
    except (TimedOut, Unavailable):
        raise NotKnown() from None
    except ExternalError as error:
        close(row, STATE.FAILED, error=f"{error.message} {error.hint}")
        raise
    finally:
        forget(file, secret)
    close(row, STATE.STORED)
    return row


def opened_row(actor: Actor, file: SecretsFile, secret: Secret, wanted: Wanted) -> tuple[SecretVersion, bool]:
    """The row of a version to be made, and whether it is new. Raises Refused for the token of another person."""
    rows = wanted.rows or public_rows(secret.arn, opened_text(wanted.text))
    known = wanted.touched if wanted.touched is not None else _touched(secret, wanted.base, rows)
    row, is_new = SecretVersion.objects.get_or_create(
        secret=secret,
        version_id=wanted.token,
        defaults={
            "base_version": wanted.base,
            "source": wanted.source,
            "comment": said(wanted.comment),
            "environment": file.environment,
            "actor_kind": actor.kind,
            "actor_id": actor.id,
            "actor_text": actor.text[:150],
            "touched": known,
            "keys": rows,
            "byte_count": len(wanted.text.encode("utf-8", "surrogatepass")),
        },
    )
    if (row.actor_kind, row.actor_id) != (actor.kind, actor.id):
        raise Refused("This form belongs to another save. Nothing was changed.", code="stale")
    return row, is_new


def _touched(secret: Secret, base: str, rows: list[Json]) -> Json:
    """What a version changes, as far as its base is known."""
    before = SecretVersion.objects.filter(secret=secret, version_id=base).first()
    return touched(before.keys, rows) if before is not None and before.keys is not None else {}


def _answer(row: SecretVersion) -> SecretVersion:
    """The answer to a form that is sent twice."""
    if row.state == STATE.STORED:
        return row
    if row.state == STATE.OPEN:
        raise NotKnown()
    if row.state == STATE.REFUSED:
        raise CameFirst()
    raise Refused(f"This was not saved: {row.error}", hint="Look at the review again.", code="failed")


@transaction.atomic
def close(row: SecretVersion, state: str, *, error: str = "") -> bool:
    """Ends a row that is open, with the audit event of what came of it; whether it was open."""
    stored = state == STATE.STORED
    end = {
        "state": state, "error": redact_text(error).strip()[:500], "stored_at": timezone.now() if stored else None,
    }  # fmt: skip
    if not SecretVersion.objects.filter(pk=row.pk, state=STATE.OPEN).update(**end):
        return False
    for name, value in end.items():
        setattr(row, name, value)
    if stored:
        Secret.objects.filter(pk=row.secret_id, current_version=row.base_version).update(
            current_version=row.version_id
        )
    _record(row)
    return True


def _record(row: SecretVersion) -> None:
    actor = Actor(row.actor_kind, row.actor_id, row.actor_text)
    where: dict[str, Any] = {
        "target_kind": "secrets", "target_id": row.environment_id or "", "target_text": _target(row),
        "project": row.environment.project.slug if row.environment else "",
    }  # fmt: skip
    if row.state == STATE.STORED:
        record(actor, "secrets.saved", **where, data=told(row))
    else:
        record(actor, "secrets.not_saved", **where, data=told(row))


def _target(row: SecretVersion) -> str:
    place = f"{row.environment.label}: " if row.environment else ""
    return f"{place}{row.secret.name}"


def told(row: SecretVersion) -> Json:
    """The data of the audit event: names of keys, never a value."""
    told: Json = {"version": row.version_id, "base": row.base_version, "how": row.get_source_display()}
    told |= {name: keys for name, keys in row.touched.items() if keys}
    return (
        told | ({"comment": row.comment} if row.comment else {}) | ({"error": row.error} if row.error else {})
    )
