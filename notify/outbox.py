"""Writes rows to the outbox, and sends due ones. A failure of Slack or GitHub never changes the result of a deploy.

Nothing is lost and nothing is posted twice: a row is due again until Slack has answered or refused it, and from the second
try on the message is looked for in Slack before it is posted. A claim (CLAIM_SECONDS) outlives the slowest delivery
(DELIVERY_SECONDS and one request that began before its end), and the job's time limit outlives the claim. The database's
clock decides what is due.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Window
from django.db.models.functions import Now, RowNumber
from django.utils import timezone
from rq.timeouts import JobTimeoutException

from adapters.errors import Denied, ExternalError, Invalid, NotFound, TimedOut
from adapters.slack import Posted, Slack
from notify import github, messages
from notify.models import Outgoing
from notify.rows import write
from projects.contacts import GITHUB, SLACK, note_answer, note_error

log = structlog.get_logger(__name__)
BACKOFF_SECONDS = (5, 15, 60, 300, 900, 3600)
DELIVERY_SECONDS = 40
CLAIM_SECONDS = 90
# A round begins no row after so long. The tick begins the next round.
ROUND_SECONDS = 25
MOST_ROWS = 100  # of a system, that one round looks at
# So many rows without an answer in one round: the system itself hangs.
MOST_SILENT = 2
GIVEN_UP = timedelta(days=1)
CLOCKS = timedelta(minutes=5)  # more than Slack's clock differs from ours


def slack_message(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Writes one message row in the caller's transaction, and enqueues the job that sends it. Idempotent by `key`.

    Writes nothing without a channel or a Slack token.
    """
    if not channel or not settings.SLACK_BOT_TOKEN:
        return
    write(Outgoing.Kind.SLACK, channel, key, thread, payload)


def slack_note(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Like `slack_message`, for a note that is added to the thread and updates nothing; `notify/messages.py: trouble_text`."""
    if channel and settings.SLACK_BOT_TOKEN:
        write(Outgoing.Kind.SLACK_NOTE, channel, key, thread, payload)


def slack_request(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Like `slack_message`, about a change of secrets that waits or was decided; `notify/messages.py: request_message`."""
    if channel and settings.SLACK_BOT_TOKEN:
        write(Outgoing.Kind.SLACK_REQUEST, channel, key, thread, payload)


def operations_note(channel: str, *, key: str, thread: str, payload: dict[str, Any]) -> None:
    """Like `slack_note`, for a warning to operations; `notify/messages.py: operations_text`. One that came before (with
    `times`) is a message that is updated."""
    if channel and settings.SLACK_BOT_TOKEN:
        write(Outgoing.Kind.OPERATIONS, channel, key, thread, payload)


def due() -> QuerySet[Outgoing]:
    """Rows that wait and may be tried now, in order."""
    return Outgoing.objects.filter(state="waiting", next_try_at__lte=Now()).order_by("pk")


def in_order() -> list[tuple[int, str, str]]:
    """The next due rows: primary key, recipient and system of each. Slack's go first, because people wait for them, however
    many of GitHub's wait. Of each recipient the oldest one comes before the second one of any other, so that many rows of one
    recipient keep back nobody."""
    rows = fair(sendable())
    slack = [(pk, to, SLACK) for pk, to in rows.exclude(kind__in=github.KINDS)[:MOST_ROWS]]
    return slack + [(pk, to, GITHUB) for pk, to in rows.filter(kind__in=github.KINDS)[:MOST_ROWS]]


def sendable() -> QuerySet[Outgoing]:
    """Due rows without those that wait for an earlier one of their thread that is not due yet."""
    earlier = Outgoing.objects.filter(
        thread=OuterRef("thread"), pk__lt=OuterRef("pk"), state="waiting", next_try_at__gt=Now()
    )
    return due().exclude(Exists(earlier.exclude(thread="")))


def fair(rows: QuerySet[Outgoing]) -> QuerySet[Outgoing, tuple[int, str]]:
    """The rows by turns of their recipients: primary key and recipient of each."""
    turn = Window(RowNumber(), partition_by=[F("recipient")], order_by=F("pk").asc())
    return rows.annotate(turn=turn).order_by("turn", "pk").values_list("pk", "recipient")


def system_of(kind: str) -> str:
    """The outside system that gets rows of this kind: SLACK or GITHUB."""
    return GITHUB if kind in github.KINDS else SLACK


def send_due() -> None:
    """Sends due rows in order, for ROUND_SECONDS. A job calls it after each new row, and a tick.

    After a failure the other rows of the same recipient wait for the next round, and after MOST_SILENT ones without an answer
    all rows of that system do, so that neither a channel nor a system that hangs takes the time of the others.
    """
    until, resting, silent = time.monotonic() + ROUND_SECONDS, set[str](), Counter[str]()
    for pk, recipient, system in in_order():
        if time.monotonic() > until:
            return
        if recipient in resting or silent[system] >= MOST_SILENT:
            continue
        _, error = _tried(pk)
        if error is not None and not error.permanent:
            resting.add(recipient)
            silent[system] += isinstance(error, TimedOut)


def claim(pk: int) -> Outgoing | None:
    """Claims a row that is due and first in its thread; else None. Its next try is set before sending, so that another
    process tries again if this one dies."""
    with transaction.atomic():
        row = due().select_for_update().filter(pk=pk).first()
        if row is None:
            return None
        if row.thread and Outgoing.objects.filter(thread=row.thread, pk__lt=pk, state="waiting").exists():
            return None
        Outgoing.objects.filter(pk=pk).update(
            next_try_at=Now() + timedelta(seconds=CLAIM_SECONDS), tries=row.tries + 1
        )
        row.tries += 1
        return row


def send(pk: int) -> bool:
    """Sends one row. Returns True when it needs no further try. A temporary failure is stored and tried again later, for
    GIVEN_UP; a permanent one marks the row as failed. Raises JobTimeoutException and errors of the database; the row is tried
    again then."""
    return _tried(pk)[0]


def _tried(pk: int) -> tuple[bool, ExternalError | None]:
    """As `send`, with the system's error."""
    row = claim(pk)
    if row is None:
        return False, None
    if is_overtaken(row):
        _end(row, "skipped", result="A later message of its thread says more.")
        return True, None
    try:
        external_id = deliver(row)
    except github.Moot as reason:
        _end(row, "skipped", result=str(reason))
        return True, None
    except ExternalError as error:
        note_error(system_of(row.kind), error)
        return _failed(row, error), error
    except JobTimeoutException:  # no error of this row: the job's time is over
        _again(row, "There was no time left to send it.")
        raise
    except DatabaseError:
        raise  # the claim ends by itself
    except Exception:  # one row with an unforeseen error must not block the others for ever
        log.exception("message not sent: an error of the portal", key=row.key)
        _end(row, "failed", result="An error of the portal; its log has more.")
        return True, None
    note_answer(system_of(row.kind))
    _end(row, "sent", sent_at=timezone.now(), result="", external_id=external_id)
    return True, None


def _failed(row: Outgoing, error: ExternalError) -> bool:
    """Stores why a row was not sent. Returns whether it is given up."""
    last = error.permanent or timezone.now() - row.created_at > GIVEN_UP
    log.warning("message not sent", key=row.key, error=error.message, tries=row.tries, gives_up=last)
    if last:
        _end(row, "failed", result=error.message[:500])
    else:
        _again(row, error.message, error.retry_after or 0)
    return last


def _again(row: Outgoing, why: str, at_least: float = 0) -> None:
    """Makes a row due again after a pause that grows with its tries."""
    wait = BACKOFF_SECONDS[min(row.tries, len(BACKOFF_SECONDS)) - 1]
    Outgoing.objects.filter(pk=row.pk, state="waiting").update(
        next_try_at=Now() + timedelta(seconds=max(wait, at_least)), result=why[:500]
    )


def _end(row: Outgoing, state: str, **values: object) -> None:
    Outgoing.objects.filter(pk=row.pk).update(state=state, **values)


def is_overtaken(row: Outgoing) -> bool:
    """Whether a state need not be told, because the next one waits as well: after an hour without Slack each message is brought
    to its last state at once. What was tried before may have arrived, and details are not in later rows: those are sent."""
    make = state_of(row)
    if make is None or row.tries > 1 or not row.thread:
        return False
    later = Outgoing.objects.filter(thread=row.thread, pk__gt=row.pk, state="waiting").order_by("pk")
    following = later.values_list("kind", flat=True).first()  # a note would become the first message
    return following == row.kind and not make(row.payload).details


def deliver(row: Outgoing) -> str:
    """Sends a row as its kind asks for. Raises ExternalError; Moot where nobody is to be told any more.

    Returns `<channel id>:<ts>` of the thread's first message, because Slack's `chat.update` needs the channel's id, not its
    name; or the id of GitHub's deployment.
    """
    if row.kind in github.KINDS:
        return github.deliver(row)
    slack = Slack(settings.SLACK_BOT_TOKEN, base_url=settings.SLACK_API_URL, seconds=DELIVERY_SECONDS)
    # The newest: a message that could not be changed any more was posted anew.
    sent = Outgoing.objects.filter(thread=row.thread, state="sent").exclude(external_id="").order_by("-pk")
    first = sent.values_list("external_id", flat=True).first() or ""
    make = state_of(row)
    return deliver_state(slack, row, first, make(row.payload)) if make else deliver_note(slack, row, first)


def state_of(row: Outgoing) -> Callable[[dict[str, Any]], messages.Message] | None:
    """What makes the message of a row that tells a state, which later rows update; None for a note."""
    if row.kind == Outgoing.Kind.OPERATIONS and row.payload.get("times"):
        return messages.operations_message
    return STATES.get(row.kind)


def post_once(
    slack: Slack,
    row: Outgoing,
    part: str,
    text: str,
    blocks: Sequence[dict[str, Any]] = (),
    *,
    channel: str = "",
    thread_ts: str = "",
) -> Posted:
    """Posts a part of a row's message. After an earlier try, whose answer may be lost, it is looked for first. `channel`: the
    row's own when it is empty. Raises ExternalError."""
    mark, channel = f"{row.key}/{part}", channel or row.recipient
    if row.tries > 1 and (found := _find(slack, row, mark, channel, thread_ts)):
        log.info("the message had arrived", key=row.key, part=part)
        return found
    return slack.post(channel, text, blocks, thread_ts=thread_ts, mark=mark)


def _find(slack: Slack, row: Outgoing, mark: str, channel: str, thread_ts: str) -> Posted | None:
    """The message of an earlier try, or None; also None when Slack does not let the bot look. Raises ExternalError when it
    cannot be known yet."""
    known = Outgoing.objects.filter(recipient=channel, state="sent").exclude(external_id="").order_by("-pk")
    channel_id = (known.values_list("external_id", flat=True).first() or "").partition(":")[0]
    since = (row.created_at - CLOCKS).timestamp()
    try:
        return slack.find(channel_id or channel, mark, since=since, thread_ts=thread_ts)
    except (Denied, NotFound, Invalid) as error:
        log.warning("it cannot be seen whether a message arrived", key=row.key, error=error.message)
        return None


def deliver_state(slack: Slack, row: Outgoing, first: str, message: messages.Message) -> str:
    """Posts the first message of a thread, or updates it (`first`); adds details as a reply. A message that is gone, or that
    Slack does not let us change, is posted anew: once, because later rows update that one."""
    place = _updated(slack, row, first, message) if first else None
    if place is None:
        posted = post_once(slack, row, "message", message.text, message.blocks)
        place = (posted.channel, posted.ts)
    channel, ts = place
    if message.details:
        post_once(slack, row, "details", message.details, channel=channel, thread_ts=ts)
    return f"{channel}:{ts}"


def _updated(slack: Slack, row: Outgoing, first: str, message: messages.Message) -> tuple[str, str] | None:
    """Updates a message. Returns its place, or None where that message cannot be updated any more."""
    channel, _, ts = first.partition(":")
    try:
        slack.update(channel, ts, message.text, message.blocks)
    except (NotFound, Denied) as error:
        log.warning("a message is posted anew", key=row.key, error=error.message)
        return None
    return channel, ts


def deliver_note(slack: Slack, row: Outgoing, first: str) -> str:
    """Posts a note below the first message, or as the first one; also where the first one is gone."""
    text = TEXTS[row.kind](row.payload)
    channel, _, ts = first.partition(":")
    if first:
        try:
            post_once(slack, row, "note", text, channel=channel, thread_ts=ts)
        except NotFound as error:
            log.warning("a note is posted outside of its thread", key=row.key, error=error.message)
        else:
            return first
    posted = post_once(slack, row, "note-alone" if first else "note", text)
    return f"{posted.channel}:{posted.ts}"


STATES: dict[str, Callable[[dict[str, Any]], messages.Message]] = {
    Outgoing.Kind.SLACK: messages.deploy_message,
    Outgoing.Kind.SLACK_REQUEST: messages.request_message,
}
TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    Outgoing.Kind.SLACK_NOTE: messages.trouble_text,
    Outgoing.Kind.OPERATIONS: messages.operations_text,
}
