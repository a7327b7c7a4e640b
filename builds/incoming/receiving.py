"""Takes a delivery of GitHub's webhook: checks the signature, stores what decisions need once, and enqueues the work.

Nothing here waits for an outside system. What is not signed leaves no trace but a count: one row for each hour and reason.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from builds.concerned import signers_of
from builds.incoming import rates, signatures, signers
from builds.incoming.payloads import Payload, Unreadable, read
from builds.incoming.signers import Signer
from builds.models import Delivery
from core import changes
from core.jobs import enqueue

log = structlog.get_logger(__name__)
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_EVENT = re.compile(r"[a-z0-9_]{1,50}")
# Ids of the portal's own rows, which no delivery may take.
REFUSED_ID, SEEN_ID = "refused-", "seen-"
HOUR = 3600

UNSIGNED = "unsigned"
WRONG = "wrong"
NO_SECRET = "no-secret"  # noqa: S105  (a reason)
UNREADABLE = "unreadable"
REASONS = {
    UNSIGNED: "It was not signed (X-Hub-Signature-256); nothing of it was kept.",
    WRONG: "Its signature does not fit the secret; nothing of it was kept.",
    NO_SECRET: "The portal has no webhook secret to check it with; nothing of it was kept.",
    UNREADABLE: "It is signed, but is no delivery of GitHub's.",
}


@dataclass(frozen=True)
class Envelope:
    """A request to the webhook, as it came. `address`: of the caller."""

    body: bytes
    signature: str
    event: str
    delivery_id: str
    content_type: str
    address: str


@dataclass(frozen=True)
class Answer:
    """Status and sentence for the sender."""

    status: int
    text: str


def receive(envelope: Envelope) -> Answer:
    """Takes or refuses a delivery. 202: stored, now or earlier. 400, 403, 409, 429: refused. Nothing of a body is parsed before a
    secret has signed it."""
    if not signatures.is_signature(envelope.signature):
        return refuse(envelope, UNSIGNED)
    signer = signers.site(envelope.body, envelope.signature)
    if signer is None:
        if rates.REFUSED_HERE.is_full(envelope.address):
            return too_many()
        signer = signers.own(envelope.body, envelope.content_type, envelope.signature)
    if signer is None:
        return refuse(envelope, WRONG)
    if not rates.SIGNED.take(signer.name):
        return too_many()
    return _take(envelope, signer)


def _take(envelope: Envelope, signer: Signer) -> Answer:
    """Stores a signed delivery."""
    reserved = envelope.delivery_id.startswith((REFUSED_ID, SEEN_ID))
    if not _ID.fullmatch(envelope.delivery_id) or not _EVENT.fullmatch(envelope.event) or reserved:
        return refuse(
            envelope, UNREADABLE, "Its X-GitHub-Delivery or X-GitHub-Event is missing or malformed."
        )
    try:
        payload = read(envelope.body, envelope.content_type, envelope.event)
    except Unreadable as error:
        return refuse(envelope, UNREADABLE, f"It cannot be read: {error}.")
    speaks = signers.of_repository(signer, payload.addresses)
    if speaks is None:
        return refuse(envelope, WRONG)
    return _stored(envelope, payload, speaks)


def _stored(envelope: Envelope, payload: Payload, signer: Signer) -> Answer:
    delivery, is_new = store(envelope, payload, signer)
    if not is_new and not is_by(delivery, signer):
        return Answer(409, "A delivery of this id was taken before, signed with another secret.")
    if not is_new and delivery.state == Delivery.State.DECIDED:
        return Answer(202, "This delivery was taken before; nothing more follows from it.")
    work_on(delivery)
    return Answer(202, "Taken.")


def store(envelope: Envelope, payload: Payload, signer: Signer) -> tuple[Delivery, bool]:
    """The row of the delivery, and whether it is new. The same delivery again is counted; one that failed is tried again. One of
    another signer is left as it is."""
    try:
        with transaction.atomic():
            made = Delivery.objects.create(
                delivery_id=envelope.delivery_id, event=envelope.event, repository=payload.repository,
                addresses=list(payload.addresses), ref=payload.ref, before=payload.before, after=payload.after,
                sender=payload.sender, facts=payload.facts, signers=signer.ids,
                signed_by=signer.projects[0] if signer.projects else None,
            )  # fmt: skip
            changes.note_topic(changes.DELIVERIES)
            return made, True
    except IntegrityError:
        known = Delivery.objects.get(delivery_id=envelope.delivery_id)
    if is_by(known, signer):
        _again(known)
    return known, False


def is_by(delivery: Delivery, signer: Signer) -> bool:
    """Whether a stored delivery was signed by the same: by the site, or by at least one of the same projects."""
    before = signers_of(delivery)
    return bool(before & set(signer.ids)) if before else not signer.ids


def _again(known: Delivery) -> None:
    """Counts that a delivery came again. One that failed waits again."""
    with transaction.atomic():
        Delivery.objects.filter(pk=known.pk).update(repeats=F("repeats") + 1)
        Delivery.objects.filter(pk=known.pk, state=Delivery.State.FAILED).update(
            state=Delivery.State.WAITING, tries=0, sentence=""
        )
        changes.note_topic(changes.DELIVERIES)
    known.refresh_from_db(fields=["state", "tries", "repeats"])


def work_on(delivery: Delivery) -> None:
    """Enqueues the work on a delivery; `builds.deciding.work_on_waiting` asks again for one that was lost."""
    enqueue(
        "builds.deciding.decide", delivery.pk, queue="git", job_id=f"delivery-{delivery.pk}-{delivery.tries}"
    )


def refuse(envelope: Envelope, reason: str, detail: str = "") -> Answer:
    """Refuses a delivery. A count in a row of the hour and the reason tells of it, unless there are too many."""
    if not rates.REFUSED_HERE.take(envelope.address) or not rates.REFUSED.take("all"):
        return too_many()
    if reason != UNREADABLE and not signers.has_any_secret():
        reason = NO_SECRET
    text = detail or REASONS[reason]
    log.info("delivery refused", reason=reason, address=envelope.address)
    note_refused(reason, text)
    return Answer(400 if reason == UNREADABLE else 403, text)


def note_refused(reason: str, text: str) -> None:
    """Counts a refused delivery in the row of this hour."""
    delivery_id = f"{REFUSED_ID}{int(time.time()) // HOUR}-{reason}"
    rows = Delivery.objects.filter(delivery_id=delivery_id)
    if rows.update(repeats=F("repeats") + 1):
        return
    try:
        with transaction.atomic():
            changes.note_topic(changes.DELIVERIES)
            Delivery.objects.create(
                delivery_id=delivery_id, event="refused", state=Delivery.State.REFUSED, sentence=text,
                decided_at=timezone.now(),
            )  # fmt: skip
    except IntegrityError:  # another request was first
        rows.update(repeats=F("repeats") + 1)


def too_many() -> Answer:
    """Refuses without a trace."""
    return Answer(429, "Too many deliveries within a minute; this one was not taken.")
