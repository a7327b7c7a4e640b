"""Writes rows to the outbox, and sends due ones. A failure of Slack never changes the result of a deploy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from adapters.errors import ExternalError
from adapters.slack import Slack
from core.jobs import enqueue
from notify import messages
from notify.models import Outgoing
from projects.contacts import SLACK, note_answer, note_error

log = structlog.get_logger(__name__)
BACKOFF_SECONDS = (5, 15, 60, 300, 900, 3600)
CLAIM_SECONDS = 60


def slack_message(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Writes one message row in the caller's transaction, and enqueues the job that sends it. Idempotent by `key`.

    Writes nothing without a channel or a Slack token.
    """
    if not channel or not settings.SLACK_BOT_TOKEN:
        return
    _write(Outgoing.Kind.SLACK, channel, key, thread, payload)


def slack_note(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Like `slack_message`, for a note that is added to the thread and updates nothing; `notify/messages.py: trouble_text`."""
    if channel and settings.SLACK_BOT_TOKEN:
        _write(Outgoing.Kind.SLACK_NOTE, channel, key, thread, payload)


def slack_request(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Like `slack_message`, about a change of secrets that waits or was decided; `notify/messages.py: request_message`."""
    if channel and settings.SLACK_BOT_TOKEN:
        _write(Outgoing.Kind.SLACK_REQUEST, channel, key, thread, payload)


def operations_note(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Like `slack_note`, for a warning to operations; `notify/messages.py: operations_text`."""
    if channel and settings.SLACK_BOT_TOKEN:
        _write(Outgoing.Kind.OPERATIONS, channel, key, thread, payload)


def _write(kind: Outgoing.Kind, channel: str, key: str, thread: str, payload: dict[str, Any]) -> None:
    row, created = Outgoing.objects.get_or_create(
        key=key, defaults={"kind": kind, "recipient": channel, "thread": thread, "payload": payload}
    )
    if created:
        enqueue("notify.outbox.send_due", queue="short", job_id=f"send-{row.pk}", at_front=True)


def send_due() -> None:
    """Sends due rows in order, at most 100. A job calls it after each new row, and a tick."""
    for pk in Outgoing.objects.filter(state="waiting", next_try_at__lte=timezone.now()).values_list(
        "pk", flat=True
    )[:100]:
        send(pk)


def claim(pk: int) -> Outgoing | None:
    """Claims a row that is due and first in its thread; else None. Its next try is set before sending, so that another
    process tries again if this one dies."""
    now = timezone.now()
    with transaction.atomic():
        row = (
            Outgoing.objects.select_for_update().filter(pk=pk, state="waiting", next_try_at__lte=now).first()
        )
        if row is None:
            return None
        if row.thread and Outgoing.objects.filter(thread=row.thread, pk__lt=pk, state="waiting").exists():
            return None
        Outgoing.objects.filter(pk=pk).update(
            next_try_at=now + timedelta(seconds=CLAIM_SECONDS), tries=row.tries + 1
        )
        row.tries += 1
        return row


def send(pk: int) -> bool:
    """Sends one row. Returns True when it needs no further try. A temporary failure is stored and tried again later; a
    permanent one, or too many of them, mark the row as failed."""
    row = claim(pk)
    if row is None:
        return False
    try:
        external_id = deliver(row)
    except ExternalError as error:
        note_error(SLACK, error)
        last = error.permanent or row.tries > len(BACKOFF_SECONDS)
        wait = BACKOFF_SECONDS[min(row.tries - 1, len(BACKOFF_SECONDS) - 1)]
        log.warning("message not sent", key=row.key, error=error.message, tries=row.tries, gives_up=last)
        Outgoing.objects.filter(pk=pk).update(
            state="failed" if last else "waiting",
            next_try_at=timezone.now() + timedelta(seconds=max(wait, error.retry_after or 0)),
            result=error.message[:500],
        )
        return last
    except Exception:  # one row with an unforeseen error must not block the others for ever
        log.exception("message not sent: an error of the portal", key=row.key)
        Outgoing.objects.filter(pk=pk).update(
            state="failed", result="An error of the portal; its log has more."
        )
        return True
    note_answer(SLACK)
    Outgoing.objects.filter(pk=pk).update(
        state="sent", sent_at=timezone.now(), result="", external_id=external_id
    )
    return True


def deliver(row: Outgoing) -> str:
    """Sends a row as its kind asks for. Raises ExternalError.

    Returns `<channel id>:<ts>` of the thread's first message, because Slack's `chat.update` needs the channel's id, not its
    name.
    """
    slack = Slack(settings.SLACK_BOT_TOKEN, base_url=settings.SLACK_API_URL)
    sent = Outgoing.objects.filter(thread=row.thread, state="sent").exclude(external_id="").order_by("pk")
    first = sent.values_list("external_id", flat=True).first() or ""
    return DELIVERIES[row.kind](slack, row, first)


def deliver_deploy(slack: Slack, row: Outgoing, first: str) -> str:
    """The message about a deploy."""
    return _deliver(slack, row, first, messages.deploy_message(row.payload))


def deliver_request(slack: Slack, row: Outgoing, first: str) -> str:
    """The message about a change of secrets."""
    return _deliver(slack, row, first, messages.request_message(row.payload))


def _deliver(slack: Slack, row: Outgoing, first: str, message: messages.Message) -> str:
    """Posts the first message of a thread, or updates it (`first`); adds details as a reply."""
    channel, _, ts = first.partition(":")
    if first:
        slack.update(channel, ts, message.text, message.blocks)
    else:
        posted = slack.post(row.recipient, message.text, message.blocks)
        channel, ts = posted.channel, posted.ts
    if message.details:
        slack.post(channel, message.details, [], thread_ts=ts)
    return f"{channel}:{ts}"


def deliver_note(slack: Slack, row: Outgoing, first: str) -> str:
    """Posts a note below the first message, or as the first one."""
    text = TEXTS[row.kind](row.payload)
    channel, _, ts = first.partition(":")
    posted = slack.post(channel or row.recipient, text, [], thread_ts=ts)
    return first or f"{posted.channel}:{posted.ts}"


TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    Outgoing.Kind.SLACK_NOTE: messages.trouble_text,
    Outgoing.Kind.OPERATIONS: messages.operations_text,
}
DELIVERIES: dict[str, Callable[[Slack, Outgoing, str], str]] = {
    Outgoing.Kind.SLACK: deliver_deploy,
    Outgoing.Kind.SLACK_NOTE: deliver_note,
    Outgoing.Kind.SLACK_REQUEST: deliver_request,
    Outgoing.Kind.OPERATIONS: deliver_note,
}
