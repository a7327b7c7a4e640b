"""Approving, refusing and withdrawing a change that waits.

An approval first claims the request in the database (`decided_at` while it still waits), then moves AWSCURRENT by
compare-and-swap from the version that the request started from, then ends the request: two approvers at once, or one who
approves while another refuses, end in one decision. A claim whose process died is settled by `tending`.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from adapters.aws.secret_errors import LostRace
from adapters.errors import ExternalError, TimedOut, Unavailable
from audit.actors import SYSTEM_ACTOR, Actor
from audit.record import record
from core.errors import Refused, Stale
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.editing.asking import label_of
from secrets_ui.editing.writing import NotKnown, told
from secrets_ui.known.looking import forget, look_again
from secrets_ui.known.rights import require
from secrets_ui.known.said import checked, said
from secrets_ui.known.telling import tell
from secrets_ui.models import ChangeRequest, Secret, SecretVersion

STATE = ChangeRequest.State
_LAPSED = "Another version became current after this was asked for."


def is_own(actor: Actor, request: ChangeRequest) -> bool:
    """Whether the actor asked for it."""
    return (request.version.actor_kind, request.version.actor_id) == (actor.kind, actor.id)


def waits(request: ChangeRequest) -> bool:
    """Whether it can be decided: AWS has its version, and nobody has decided."""
    return request.state == STATE.WAITING and request.version.state == SecretVersion.State.WAITING


def is_stale(request: ChangeRequest) -> bool:
    """Whether the version that it started from is known to be no longer current."""
    current = request.secret.current_version
    return waits(request) and current not in ("", request.version.base_version, request.version.version_id)


def approve(actor: Actor, file: SecretsFile, request: ChangeRequest, *, note: str = "") -> ChangeRequest:
    """Makes the version that was asked for current. The same call by the same person again changes nothing.

    Raises Refused (right, one's own, decided or being decided), Stale when another version became current since, NotKnown
    when AWS does not say, and ExternalError (then it still waits), ManifestError.
    """
    require(actor, file, "approve", what=request.version.version_id)
    if is_own(actor, request):
        raise Refused("You asked for this change: another person has to approve it.", code="secret-right")
    if _is_done(request, STATE.APPROVED, actor):
        return request
    note = _checked(file, request, note)
    _claim(actor, request, note)
    try:
        current = _current(file)
    except (ExternalError, Refused):
        release(request)
        raise
    if current not in (request.version.base_version, request.version.version_id):
        raise _lapse(file, request)
    _move(file, request)
    end(request, STATE.APPROVED, actor, note)
    _take_label_off(file, request)
    return request


def _current(file: SecretsFile) -> str:
    """The version that is current now. Raises Refused for a secret that is about to be deleted, and ExternalError."""
    facts = look_again(file)
    if facts.deleted_at is not None:
        raise Refused(
            "The secret is scheduled for deletion. Nothing was approved.",
            hint="Restore it in AWS first.",
            code="stale",
        )
    return facts.current_version


def _checked(file: SecretsFile, request: ChangeRequest, note: str) -> str:
    """The note without the values in question: the asked-for ones, and those that they replace."""
    if not waits(request):
        return said(note)
    return checked(note, file, request.secret, (request.version.version_id, request.version.base_version))


def _is_done(request: ChangeRequest, state: str, actor: Actor) -> bool:
    request.refresh_from_db()
    return request.state == state and request.decided_by == actor.text


@transaction.atomic
def _claim(actor: Actor, request: ChangeRequest, note: str) -> None:
    """Begins an approval. The row is locked and read: a condition on the version needs a subquery, and PostgreSQL does not
    look at that again after it has waited for another decision."""
    ChangeRequest.objects.select_for_update().get(pk=request.pk)
    request.refresh_from_db()
    if not waits(request) or request.decided_at is not None:
        raise decided(request)
    ChangeRequest.objects.filter(pk=request.pk).update(
        decided_by=actor.text[:150], decided_at=timezone.now(), decision=said(note)
    )
    request.refresh_from_db()


def release(request: ChangeRequest) -> None:
    """An approval that did not take place: it waits again."""
    ChangeRequest.objects.filter(pk=request.pk, state=STATE.WAITING).update(
        decided_by="", decided_at=None, decision=""
    )


def _move(file: SecretsFile, request: ChangeRequest) -> None:
    version = request.version
    try:
        secrets_writer(file, hasty=True).move_current(
            file.secret_id, to=version.version_id, expected_from=version.base_version
        )
    except LostRace:
        raise _lapse(file, request) from None
    except (TimedOut, Unavailable):
        raise NotKnown() from None
    except ExternalError:
        release(request)
        raise
    finally:
        forget(file)


def _lapse(file: SecretsFile, request: ChangeRequest) -> Stale:
    lapse(file, request)
    return Stale(
        "Another version became current after this was asked for. Nothing was approved.",
        hint="The person who asked can do it again on the current version.",
    )


def lapse(file: SecretsFile, request: ChangeRequest, why: str = _LAPSED) -> None:
    """Ends a request whose base is no longer current, and takes its label off."""
    if end(request, STATE.STALE, SYSTEM_ACTOR, why):
        _take_label_off(file, request)


def decided(request: ChangeRequest) -> Refused:
    """Why a request cannot be decided any more, or not now."""
    if request.state == STATE.WAITING and request.decided_at is not None:
        return Refused(f"{request.decided_by} is approving this at the moment.", code="busy")
    if request.state == STATE.WAITING:
        return Refused("The version is not stored yet. Look again in a minute.", code="busy")
    words = {STATE.APPROVED: "approved", STATE.REFUSED: "refused", STATE.WITHDRAWN: "withdrawn"}
    word = words.get(STATE(request.state), "")
    by = f" by {request.decided_by}" if request.decided_by else ""
    said = f"It was {word}{by} already." if word else "It is stale: another version became current since."
    return Refused(f"{said} Nothing was changed.", code="stale")


def refuse(actor: Actor, file: SecretsFile, request: ChangeRequest, *, note: str) -> ChangeRequest:
    """Says no, with a reason. Raises Refused."""
    require(actor, file, "approve", what=request.version.version_id)
    if is_own(actor, request):
        raise Refused("You asked for this change: withdraw it instead.", code="secret-right")
    if not note.strip():
        raise Refused("Say why, for the person who asked. Nothing was decided.", code="reason")
    return _ended(actor, file, request, STATE.REFUSED, note)


def withdraw(actor: Actor, file: SecretsFile, request: ChangeRequest, *, note: str = "") -> ChangeRequest:
    """Takes one's own request back. Raises Refused."""
    require(actor, file, "edit", what=request.version.version_id)
    if not is_own(actor, request):
        raise Refused("Only the person who asked withdraws a request.", code="secret-right")
    return _ended(actor, file, request, STATE.WITHDRAWN, note)


def _ended(actor: Actor, file: SecretsFile, request: ChangeRequest, state: str, note: str) -> ChangeRequest:
    if _is_done(request, state, actor):
        return request
    note = _checked(file, request, note)
    if (
        request.decided_at is not None
        or not waits(request)
        or not end(request, state, actor, note, claimed=False)
    ):
        request.refresh_from_db()
        raise decided(request)
    _take_label_off(file, request)
    return request


@transaction.atomic
def end(request: ChangeRequest, state: str, actor: Actor, note: str, *, claimed: bool = True) -> bool:
    """Ends a request that waits, with its version and the audit event; whether it did. `claimed`: an approval was under way,
    or may have been."""
    rows = ChangeRequest.objects.filter(pk=request.pk, state=STATE.WAITING)
    rows = rows if claimed else rows.filter(decided_at=None)
    kept = said(note)
    if not rows.update(state=state, decided_by=actor.text[:150], decided_at=timezone.now(), decision=kept):
        return False
    _end_version(request, state, kept)
    request.refresh_from_db()
    _record(request, actor, kept)
    tell(request)
    return True


def _end_version(request: ChangeRequest, state: str, why: str) -> None:
    stored = state == STATE.APPROVED
    values: dict[str, Any] = {
        "state": SecretVersion.State.FAILED,
        "error": f"{STATE(state).label}. {why}".strip()[:500],
    }
    if stored:
        values = {"state": SecretVersion.State.STORED, "stored_at": timezone.now()}
    SecretVersion.objects.filter(pk=request.version_id).update(**values)
    if stored:
        version = request.version
        Secret.objects.filter(pk=request.secret_id, current_version=version.base_version).update(
            current_version=version.version_id
        )


def _record(request: ChangeRequest, actor: Actor, why: str) -> None:
    environment, version = request.environment, request.version
    where: dict[str, Any] = {
        "target_kind": "secrets", "target_id": environment.pk, "project": environment.project.slug,
        "target_text": f"{environment.label}: {request.secret.name}",
        "data": told(version) | {"asked_by": version.actor_text} | ({"why": why} if why else {}),
    }  # fmt: skip
    if request.state == STATE.APPROVED:
        record(actor, "secrets.approved", **where)
    elif request.state == STATE.REFUSED:
        record(actor, "secrets.not_approved", **where)
    elif request.state == STATE.WITHDRAWN:
        record(actor, "secrets.withdrawn", **where)
    else:
        record(actor, "secrets.lapsed", **where)


def _take_label_off(file: SecretsFile, request: ChangeRequest) -> None:
    secrets_writer(file, hasty=True).take_label_off(
        file.secret_id, request.version.version_id, label_of(request.slot)
    )
    forget(file)
