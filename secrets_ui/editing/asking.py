"""Where an environment demands another person's approval, a version is not made current: it waits in AWS under a label.

The version's row comes first, as for a save; the label is one of ten that no save takes, so that a waiting version is never
the one that a save steals its label from.
"""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction

from adapters.aws.secret_errors import check_size
from adapters.aws.secrets_manager import SecretFacts
from adapters.errors import ExternalError, TimedOut, Unavailable
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.editing.writing import SOURCE, STATE, NotKnown, Wanted, close, opened_row, told, write
from secrets_ui.known.looking import forget
from secrets_ui.known.rights import environments_of
from secrets_ui.known.telling import tell
from secrets_ui.models import ChangeRequest, Secret, SecretVersion

SLOTS = range(1, 11)
NOT_THERE = "AWS did not answer while it was being stored, and has no such version now. Ask again."


def label_of(slot: int) -> str:
    """The label under which a request waits."""
    return f"SLIPWAY_REQUEST_{slot}"


def demands_request(file: SecretsFile, secret: Secret | None = None) -> bool:
    """Whether a change of the file's secret needs another person: any environment that reads it may demand that. `secret`:
    as for `environments_of`."""
    return any(environment.asks_for_secrets for environment in environments_of(file, secret))


def store(actor: Actor, file: SecretsFile, secret: Secret, wanted: Wanted) -> SecretVersion:
    """Makes a version current, or asks for that where it is demanded. Raises what `write` raises, and Refused when ten wait."""
    return (ask if demands_request(file, secret) else write)(actor, file, secret, wanted)


def ask(actor: Actor, file: SecretsFile, secret: Secret, wanted: Wanted) -> SecretVersion:
    """Puts a version into AWS that waits for approval; the same token again is answered by what became of it.

    Raises Refused (ten wait already), NotKnown, and ExternalError (then nothing waits).
    """
    check_size(file.secret_id, wanted.text)
    row, slot, is_new = _opened(actor, file, secret, replace(wanted, source=SOURCE.REQUEST))
    if not is_new:
        return _answer(row)
    try:
        secrets_writer(file, hasty=True).put(
            file.secret_id, wanted.text, token=wanted.token, label=label_of(slot)
        )
    except (TimedOut, Unavailable):
        raise NotKnown() from None
    except ExternalError as error:
        _give_up(row, f"{error.message} {error.hint}")
        raise
    finally:
        forget(file)
    _confirm(row)
    return row


@transaction.atomic
def _opened(
    actor: Actor, file: SecretsFile, secret: Secret, wanted: Wanted
) -> tuple[SecretVersion, int, bool]:
    """The row with its request, in the first free slot. The secret's row is locked: two people get two slots."""
    Secret.objects.select_for_update().get(pk=secret.pk)
    waiting = ChangeRequest.objects.filter(secret=secret, state=ChangeRequest.State.WAITING)
    taken = set(waiting.values_list("slot", flat=True))
    free = next((slot for slot in SLOTS if slot not in taken), None)
    is_known = SecretVersion.objects.filter(secret=secret, version_id=wanted.token).exists()
    if free is None and not is_known:
        raise Refused(
            "Ten changes of this secret wait for approval already. Nothing was asked for; what you typed is kept.",
            hint="Have one of them decided, or withdraw one.",
            code="busy",
        )
    row, is_new = opened_row(actor, file, secret, wanted)
    if is_new and free is not None:
        ChangeRequest.objects.create(version=row, secret=secret, environment=file.environment, slot=free)
    return row, free or 0, is_new


def _answer(row: SecretVersion) -> SecretVersion:
    """What a form that is sent twice is told."""
    if row.state in (STATE.WAITING, STATE.STORED):
        return row
    if row.state == STATE.OPEN:
        raise NotKnown()
    raise Refused(f"This was not saved: {row.error}", hint="Look at the review again.", code="failed")


@transaction.atomic
def _give_up(row: SecretVersion, error: str) -> bool:
    ChangeRequest.objects.filter(version=row).delete()
    return close(row, STATE.FAILED, error=error)


@transaction.atomic
def _confirm(row: SecretVersion) -> bool:
    """AWS has the version: the request waits from now on."""
    if not SecretVersion.objects.filter(pk=row.pk, state=STATE.OPEN).update(state=STATE.WAITING):
        return False
    row.refresh_from_db()
    environment = row.environment
    record(
        Actor(row.actor_kind, row.actor_id, row.actor_text), "secrets.asked", target_kind="secrets",
        target_id=row.environment_id or "", data=told(row),
        target_text=f"{environment.label}: {row.secret.name}" if environment else row.secret.name,
        project=environment.project.slug if environment else "",
    )  # fmt: skip
    tell(ChangeRequest.objects.select_related("version", "environment__project").get(version=row))
    return True


def settle_asked(row: SecretVersion, facts: SecretFacts | None) -> bool:
    """Closes an open row that was to wait, by what AWS says (None: there is no such secret); whether it is closed now."""
    labels = facts.versions.get(row.version_id, ()) if facts is not None else ()
    slot = ChangeRequest.objects.filter(version=row).values_list("slot", flat=True).first()
    if slot is not None and label_of(slot) in labels:
        return _confirm(row)
    return _give_up(row, NOT_THERE)
