"""Warnings to the operations channel (`OPERATIONS_CHANNEL`): one message for each trouble, one answer when it is over; one more
message, which is updated, for all that come again.

`warn` and `well` may be called at each look, by several processes: rows of the database keep it to one message. A
trouble is told when it has lasted LASTING, so one that comes and goes is not told, and its end when that has lasted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from core.redactor import redact_text
from notify import outbox
from notify.models import Alarm, Outgoing

LASTING = timedelta(minutes=1)
AGAIN_WITHIN = timedelta(hours=6)  # after the end of the same trouble


@dataclass(frozen=True)
class Alert:
    """A trouble. `level`: `failed` or `warning`. `text`: what is wrong and what to do. `link`: the address of a page with
    more."""

    level: str
    text: str
    link: str = ""


def are_wanted() -> bool:
    """Whether there is a channel for operations, and a Slack to post to."""
    return bool(settings.OPERATIONS_CHANNEL and settings.SLACK_BOT_TOKEN)


def warn(key: str, level: str, text: str, link: str = "") -> None:
    """There is a trouble. Idempotent by `key` (at most 100 characters) while it lasts. Without a channel nothing is kept."""
    if not are_wanted():
        return
    said = {"level": level, "text": redact_text(text)[:1000], "link": link, "began_at": Now()}
    alarm, is_new = Alarm.objects.get_or_create(key=key, ended_at=None, defaults=said)
    opened = Alarm.objects.filter(pk=alarm.pk, ended_at=None)
    if not is_new and alarm.well_since is not None:
        opened.update(well_since=None)
    if alarm.told_at is None and alarm.text != said["text"]:  # it is told as it is then, not as it began
        opened.filter(told_at=None).update(text=said["text"], level=level)


def well(key: str) -> None:
    """The trouble is over, or there was none. A trouble that was not told yet is forgotten."""
    opened = Alarm.objects.filter(key=key, ended_at=None)
    opened.filter(told_at=None).delete()
    opened.filter(well_since=None).update(well_since=Now())


def compare(prefix: str, warnings: Mapping[str, Alert]) -> None:
    """All present troubles (key → warning) of those whose keys begin with `prefix`: warns of them, and the others are over."""
    if not are_wanted():
        return
    opened = set(Alarm.objects.filter(key__startswith=prefix, ended_at=None).values_list("key", flat=True))
    for key in opened - warnings.keys():
        well(key)
    for key, warning in warnings.items():
        warn(key, warning.level, warning.text, warning.link)


def tell_due() -> None:
    """Tells troubles and ends that have lasted. A tick calls it, and the web processes. Each is told once: a conditional
    update decides which process does it."""
    if not are_wanted():
        return
    begun = Q(told_at=None, well_since=None, began_at__lte=Now() - LASTING)
    over = Q(told_at__isnull=False, well_since__lte=Now() - LASTING)
    for alarm in Alarm.objects.filter(begun | over, ended_at=None):
        with transaction.atomic():
            if alarm.told_at is None:
                _tell(alarm, Alarm.objects.filter(begun).filter(pk=alarm.pk).update(told_at=Now()), "begun")
            else:
                rows = Alarm.objects.filter(over, pk=alarm.pk, ended_at=None)
                _tell(alarm, rows.update(ended_at=F("well_since")), "over")


def _tell(alarm: Alarm, changed: int, about: str) -> None:
    if not changed:
        return
    facts: dict[str, Any] = {"about": about, "level": alarm.level, "text": alarm.text, "link": alarm.link}
    before = told_before(alarm)
    if before:
        facts |= {"times": len(before) + 1, "since": _clock(before[-1]), "last": _clock(alarm)}
    thread = thread_of(before[-1].pk, again=True) if before else thread_of(alarm.pk)
    key = f"{thread_of(alarm.pk)}-{about}"
    outbox.operations_note(settings.OPERATIONS_CHANNEL, key=key, thread=thread, payload=facts)


def told_before(alarm: Alarm) -> list[Alarm]:
    """The troubles of the same kind that were told before, the newest first, as long as each began soon after the end of the
    one before. The first is a message of its own, and all others share a second one: what comes and goes fills no channel.
    Old troubles are forgotten (notify/pruning.py), so the list is not endless."""
    found: list[Alarm] = []
    after = alarm
    rows = Alarm.objects.filter(key=alarm.key, pk__lt=alarm.pk, told_at__isnull=False).order_by("-pk")
    for row in rows.iterator(chunk_size=200):
        if row.ended_at is None or after.began_at - row.ended_at > AGAIN_WITHIN:
            break
        found.append(row)
        after = row
    return found


def thread_of(pk: int, *, again: bool = False) -> str:
    """The name of the thread about a trouble, or about those that came after it."""
    return f"alarm-{pk}-again" if again else f"alarm-{pk}"


def _clock(alarm: Alarm) -> tuple[int, str]:
    return int(alarm.began_at.timestamp()), f"{alarm.began_at:%H:%M} UTC"


def send_own(prefix: str) -> None:
    """Sends the due messages about troubles whose keys begin so, in this process: perhaps no worker is left to do it. The
    outbox' claim keeps two processes from sending the same one."""
    known = Alarm.objects.filter(key__startswith=prefix).values_list("pk", flat=True)
    threads = [thread_of(pk, again=again) for pk in known for again in (False, True)]
    waiting = Outgoing.objects.filter(
        kind=Outgoing.Kind.OPERATIONS, state="waiting", next_try_at__lte=Now(), thread__in=threads
    )
    for pk in waiting.values_list("pk", flat=True)[:10]:
        outbox.send(pk)
