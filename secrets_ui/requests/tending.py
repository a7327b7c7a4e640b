"""Requests that nobody ends: stale ones, and approvals whose process died. A tick asks for a job for each."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from adapters.aws.secrets_manager import CURRENT
from adapters.aws.secrets_writer import PREVIOUS
from adapters.errors import ExternalError, NotFound
from audit.actors import SYSTEM_ACTOR, Actor
from core.jobs import enqueue, slot
from projects.connections import secrets_writer
from secrets_ui.editing.settling import GIVEN_UP, file_for
from secrets_ui.known.secrets import note_facts
from secrets_ui.models import ChangeRequest, CreationRequest, SecretAddress, SecretVersion
from secrets_ui.requests.deciding import STATE, end, lapse, release


def tend_due() -> None:
    """The tick: requests whose base is no longer current, and claims that are too old."""
    tend_creations_due()
    now = timezone.now()
    current = F("secret__current_version")
    moved = Q(decided_at=None) & ~Q(secret__current_version="") & ~Q(version__base_version=current)
    due = ChangeRequest.objects.filter(
        moved | Q(secret__gone_at__isnull=False) | Q(decided_at__lt=now - GIVEN_UP),
        state=STATE.WAITING,
        version__state=SecretVersion.State.WAITING,
    )
    for pk in due.values_list("pk", flat=True)[:20]:
        enqueue("secrets_ui.jobs.tend_request", pk, queue="short", job_id=f"secret-request-{pk}-{slot(60)}")


def tend_creations_due() -> None:
    """The tick: requests to make a secret whose approval nobody saw the end of, or whose secret there is by now."""
    now = timezone.now()
    there = SecretAddress.objects.filter(
        region=OuterRef("region"), role_arn=OuterRef("role_arn"), named=OuterRef("named"),
        secret__described_at__gt=OuterRef("created_at"), secret__gone_at=None,
    )  # fmt: skip
    waiting = CreationRequest.objects.filter(state=STATE.WAITING)
    due = waiting.filter(Q(decided_at__lt=now - GIVEN_UP) | Q(Exists(there), decided_at=None))
    for pk in due.values_list("pk", flat=True)[:20]:
        enqueue("secrets_ui.jobs.tend_creation", pk, queue="short", job_id=f"secret-creation-{pk}-{slot(60)}")


def tend(pk: int) -> None:
    """Ends one request by what AWS says, or lets it wait again. An AWS that does not answer is asked again later."""
    request = (
        ChangeRequest.objects.select_related("secret", "version", "environment__project")
        .filter(pk=pk, state=STATE.WAITING, version__state=SecretVersion.State.WAITING)
        .first()
    )
    file = file_for(request.version) if request is not None else None
    if request is None or file is None:
        return
    try:
        facts = secrets_writer(file).describe(file.secret_id)
    except NotFound:
        lapse(file, request, "The secret is deleted in AWS.")
        return
    except ExternalError:
        return
    version = request.version
    if {CURRENT, PREVIOUS} & set(facts.versions.get(version.version_id, ())):
        end(request, STATE.APPROVED, _approver(request), request.decision)
    elif facts.current_version != version.base_version:
        lapse(file, request)
    elif request.decided_at is not None and request.decided_at < timezone.now() - GIVEN_UP:
        release(request)
    note_facts(file, facts)


def _approver(request: ChangeRequest) -> Actor:
    """Whose approval it was; the portal itself tells of a version that was made current outside of it."""
    return Actor("person", "", request.decided_by) if request.decided_by else SYSTEM_ACTOR
