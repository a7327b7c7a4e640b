"""Making a secret where another person has to approve it.

AWS makes the first version of a secret current, whatever labels it is given: a secret that is not there cannot hold a version
that waits. So the portal keeps the wish alone, with the commit of the reference file, and AWS gets nothing before the approval.
A refusal leaves nothing behind.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from adapters.errors import Conflict, ExternalError, NotFound, TimedOut, Unavailable
from audit.actors import SYSTEM_ACTOR, Actor
from audit.record import record
from core.errors import Refused, Stale
from engine.errors import SlipwayError
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.editing.asking import demands_request
from secrets_ui.editing.creating import (
    blank_at,
    check,
    comment_of,
    create,
    in_aws,
    keep,
    newest_blank,
    place_of,
)
from secrets_ui.editing.settling import GIVEN_UP
from secrets_ui.editing.writing import NotKnown
from secrets_ui.known.rights import require
from secrets_ui.known.said import said
from secrets_ui.known.secrets import files_named
from secrets_ui.known.telling import tell_creation
from secrets_ui.models import ChangeRequest, CreationRequest, SecretVersion

STATE = ChangeRequest.State
_HOW = SecretVersion.Source.CREATE.label
_LAPSED = "There is such a secret in AWS by now."


def make(actor: Actor, file: SecretsFile, *, comment: str) -> CreationRequest | None:
    """Makes the secret, or asks for that where another person has to approve it: then the request. Raises what `create` and
    `ask` raise."""
    if demands_request(file):
        return ask(actor, file, comment=comment)
    create(actor, file, comment=comment)
    return None


def waiting_for(file: SecretsFile) -> CreationRequest | None:
    """The request that waits for the file's secret, if there is one."""
    return of_file(file).filter(state=STATE.WAITING).first()


def of_file(file: SecretsFile) -> QuerySet[CreationRequest]:
    """Every request to make the secret that the file names now, asked for at this file."""
    found = CreationRequest.objects.filter(
        environment=file.environment_id, path=file.path, region=file.region, role_arn=file.role_arn,
        named=file.secret_id,
    )  # fmt: skip
    return found.select_related("environment__project", "environment__cluster")


def ask(actor: Actor, file: SecretsFile, *, comment: str) -> CreationRequest:
    """Asks another person to let the secret be made. The same person's second wish is answered by the first one.

    Raises Refused (right, another one waits, there is such a secret), ExternalError, ManifestError.
    """
    check(actor, file, comment)
    blank = newest_blank(file)
    if _is_in_aws(file):
        raise Refused("There is such a secret in AWS already. Nothing was asked for.", code="stale")
    try:
        return _asked(actor, file, blank.sha, comment)
    except IntegrityError:
        pass
    found = waiting_for(file)
    if found is None or not is_own(actor, found):
        raise Refused("Another person has asked for this already. Nothing was asked for.", code="busy")
    return found


@transaction.atomic
def _asked(actor: Actor, file: SecretsFile, sha: str, comment: str) -> CreationRequest:
    request = CreationRequest.objects.create(
        environment=file.environment, path=file.path, region=file.region, role_arn=file.role_arn,
        named=file.secret_id, sha=sha, comment=said(comment), actor_kind=actor.kind, actor_id=actor.id,
        actor_text=actor.text[:150],
    )  # fmt: skip
    data = {"how": _HOW, "comment": comment_of(comment, sha)}
    record(actor, "secrets.asked", **place_of(file.environment, file.secret_id), data=data)
    tell_creation(request)
    return request


def _is_in_aws(file: SecretsFile) -> bool:
    try:
        secrets_writer(file, hasty=True).describe(file.secret_id)
    except NotFound:
        return False
    return True


def is_own(actor: Actor, request: CreationRequest) -> bool:
    """Whether the actor asked for it."""
    return (request.actor_kind, request.actor_id) == (actor.kind, actor.id)


def approve(actor: Actor, file: SecretsFile, request: CreationRequest, *, note: str = "") -> CreationRequest:
    """Makes the secret in AWS, as it was asked for. The same call by the same person again changes nothing.

    Raises Refused (right, one's own, decided or being decided), Stale when there is such a secret by now, NotKnown when AWS
    does not say, ExternalError, ManifestError (then it still waits).
    """
    require(actor, file, "approve", what=file.secret_id)
    if is_own(actor, request):
        raise Refused("You asked for this: another person has to approve it.", code="secret-right")
    if _is_done(request, STATE.APPROVED, actor):
        return request
    blank = blank_at(file, request.sha)
    _claim(actor, request, note)
    try:
        arn, version_id = in_aws(file, blank)
    except Conflict:
        end(request, STATE.STALE, SYSTEM_ACTOR, _LAPSED)
        raise Stale("There is such a secret in AWS by now. Nothing was approved.") from None
    except (TimedOut, Unavailable) as error:
        raise NotKnown() from error
    except Exception:
        release(request)
        raise
    with transaction.atomic():
        if end(request, STATE.APPROVED, actor, note, version=version_id):
            keep(_asker(request), file, arn, version_id, blank, request.comment)
    return request


def _asker(request: CreationRequest) -> Actor:
    return Actor(request.actor_kind, request.actor_id, request.actor_text)


def refuse(actor: Actor, file: SecretsFile, request: CreationRequest, *, note: str) -> CreationRequest:
    """Says no, with a reason. Raises Refused."""
    require(actor, file, "approve", what=file.secret_id)
    if is_own(actor, request):
        raise Refused("You asked for this: withdraw it instead.", code="secret-right")
    if not note.strip():
        raise Refused("Say why, for the person who asked. Nothing was decided.", code="reason")
    return _ended(actor, request, STATE.REFUSED, note)


def withdraw(actor: Actor, file: SecretsFile, request: CreationRequest, *, note: str = "") -> CreationRequest:
    """Takes one's own request back. Raises Refused."""
    require(actor, file, "edit", what=file.secret_id)
    if not is_own(actor, request):
        raise Refused("Only the person who asked withdraws a request.", code="secret-right")
    return _ended(actor, request, STATE.WITHDRAWN, note)


def _ended(actor: Actor, request: CreationRequest, state: str, note: str) -> CreationRequest:
    if _is_done(request, state, actor):
        return request
    if not end(request, state, actor, note, claimed=False):
        request.refresh_from_db()
        raise _decided(request)
    return request


def _is_done(request: CreationRequest, state: str, actor: Actor) -> bool:
    request.refresh_from_db(fields=["state", "decided_by", "decided_at", "decision"])
    return request.state == state and request.decided_by == actor.text


def _claim(actor: Actor, request: CreationRequest, note: str) -> None:
    free = CreationRequest.objects.filter(pk=request.pk, state=STATE.WAITING, decided_at=None)
    claimed = free.update(decided_by=actor.text[:150], decided_at=timezone.now(), decision=said(note))
    request.refresh_from_db(fields=["state", "decided_by", "decided_at", "decision"])
    if not claimed:
        raise _decided(request)


def release(request: CreationRequest) -> None:
    """An approval that did not take place: it waits again."""
    rows = CreationRequest.objects.filter(pk=request.pk, state=STATE.WAITING)
    rows.update(decided_by="", decided_at=None, decision="")


def _decided(request: CreationRequest) -> Refused:
    if request.state == STATE.WAITING:
        return Refused(f"{request.decided_by} is approving this at the moment.", code="busy")
    by = f" by {request.decided_by}" if request.decided_by else ""
    return Refused(
        f"It was {STATE(request.state).label.lower()}{by} already. Nothing was changed.", code="stale"
    )


@transaction.atomic
def end(
    request: CreationRequest, state: str, actor: Actor, note: str, *, claimed: bool = True,
    version: str = "",
) -> bool:  # fmt: skip
    """Ends a request that waits, with the audit event and the message; whether it did. `claimed`: an approval was under way, or
    may have been."""
    rows = CreationRequest.objects.filter(pk=request.pk, state=STATE.WAITING)
    rows = rows if claimed else rows.filter(decided_at=None)
    kept = said(note)
    if not rows.update(state=state, decided_by=actor.text[:150], decided_at=timezone.now(), decision=kept):
        return False
    request.refresh_from_db(fields=["state", "decided_by", "decided_at", "decision"])
    data = {"how": _HOW, "asked_by": request.actor_text, "comment": comment_of(request.comment, request.sha)}
    data |= {name: text for name, text in (("why", kept), ("version", version)) if text}
    _record(actor, request, data)
    tell_creation(request)
    return True


def _record(actor: Actor, request: CreationRequest, data: dict[str, str]) -> None:
    where = place_of(request.environment, request.named)
    if request.state == STATE.APPROVED:
        record(actor, "secrets.approved", **where, data=data)
    elif request.state == STATE.REFUSED:
        record(actor, "secrets.not_approved", **where, data=data)
    elif request.state == STATE.WITHDRAWN:
        record(actor, "secrets.withdrawn", **where, data=data)
    else:
        record(actor, "secrets.lapsed", **where, data=data)


def tend(pk: int) -> None:
    """Ends a request whose approval nobody saw the end of, or whose secret somebody else has made; else lets it wait. An AWS
    that does not answer is asked again later."""
    request = CreationRequest.objects.select_related("environment__project").filter(pk=pk).first()
    if request is None or request.state != STATE.WAITING:
        return
    file = _file_for(request)
    if file is None:
        end(request, STATE.STALE, SYSTEM_ACTOR, "The settings name this secret no longer.")
        return
    try:
        facts = secrets_writer(file).describe(file.secret_id)
    except NotFound:
        if request.decided_at is not None and request.decided_at < timezone.now() - GIVEN_UP:
            release(request)
        return
    except ExternalError:
        return
    _settle(file, request, facts.arn, facts.current_version)


def _settle(file: SecretsFile, request: CreationRequest, arn: str, current: str) -> None:
    """There is such a secret: made by an approval whose answer was lost, or by somebody else."""
    try:
        blank = blank_at(file, request.sha) if request.decided_at is not None else None
    except SlipwayError:
        return
    if blank is None or current != blank.token(file):
        end(request, STATE.STALE, SYSTEM_ACTOR, _LAPSED)
        return
    with transaction.atomic():
        approver = Actor("person", "", request.decided_by)
        if end(request, STATE.APPROVED, approver, request.decision, version=current):
            keep(_asker(request), file, arn, current, blank, request.comment)


def _file_for(request: CreationRequest) -> SecretsFile | None:
    """The secrets file that still names the secret."""
    files = files_named(request.region, request.role_arn, request.named)
    return next((file for file in files if file.path == request.path
                 and file.environment_id == request.environment_id), None)  # fmt: skip
