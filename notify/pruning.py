"""Forgets old messages, and old troubles that operations were told of. No page shows these rows; they stay for a while for those
who ask what was told, and because later messages of a thread look for the earlier ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from notify.models import Alarm, Outgoing

KEPT = timedelta(days=30)
KEPT_LONGER = timedelta(days=90)  # what was not told, and what comes again and again
AT_ONCE, MOST_AT_ONCE = 500, 10_000


def forget_old() -> None:
    """Tick: deletes old rows that wait for nothing."""
    _delete(old())
    _delete(old_alarms())


def _delete(rows: QuerySet[Any]) -> None:
    """Deletes in small transactions, and a bounded number at a time."""
    count = 0
    while count < MOST_AT_ONCE:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
        if not ids:
            return
        rows.model.objects.filter(pk__in=ids).delete()
        count += len(ids)


def old() -> QuerySet[Outgoing]:
    """The rows that may go: sent ones and given-up ones by their age. A thread stays whole while one of its rows is young or
    waits."""
    now = timezone.now()
    told = Q(state__in=(Outgoing.State.SENT, Outgoing.State.SKIPPED), created_at__lt=now - KEPT)
    given_up = Q(state=Outgoing.State.FAILED, created_at__lt=now - KEPT_LONGER)
    alive = Q(state=Outgoing.State.WAITING) | Q(created_at__gte=now - KEPT)
    same_thread = Outgoing.objects.exclude(thread="").filter(alive, thread=OuterRef("thread"))
    return Outgoing.objects.filter(told | given_up).exclude(Exists(same_thread))


def old_alarms() -> QuerySet[Alarm]:
    """The troubles that ended long ago. Those of one kind stay together while one of them is young, because its message counts
    the earlier ones; after KEPT_LONGER they go all the same."""
    now = timezone.now()
    young = Alarm.objects.filter(Q(ended_at=None) | Q(ended_at__gte=now - KEPT), key=OuterRef("key"))
    ended = Alarm.objects.filter(ended_at__lt=now - KEPT)
    return ended.filter(Q(ended_at__lt=now - KEPT_LONGER) | ~Exists(young))
