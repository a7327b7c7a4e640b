"""Forgets old messages. No page shows rows of the outbox; they stay for a while for those who ask what was told, and because
later messages of a thread look for the earlier ones."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from notify.models import Outgoing

KEPT = timedelta(days=30)
KEPT_FAILED = timedelta(days=90)  # what was not told is asked for longer
AT_ONCE, MOST_AT_ONCE = 500, 10_000


def forget_old() -> None:
    """Tick: deletes old rows that wait for nothing, in small transactions, and a bounded number at a time."""
    rows, count = old(), 0
    while count < MOST_AT_ONCE:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
        if not ids:
            return
        Outgoing.objects.filter(pk__in=ids).delete()
        count += len(ids)


def old() -> QuerySet[Outgoing]:
    """The rows that may go: sent ones and given-up ones by their age. A thread stays whole while one of its rows is young or
    waits."""
    now = timezone.now()
    told = Q(state__in=(Outgoing.State.SENT, Outgoing.State.SKIPPED), created_at__lt=now - KEPT)
    given_up = Q(state=Outgoing.State.FAILED, created_at__lt=now - KEPT_FAILED)
    alive = Q(state=Outgoing.State.WAITING) | Q(created_at__gte=now - KEPT)
    same_thread = Outgoing.objects.exclude(thread="").filter(alive, thread=OuterRef("thread"))
    return Outgoing.objects.filter(told | given_up).exclude(Exists(same_thread))
