"""Forgets deliveries after 90 days. Builds keep their cause."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from builds.models import Delivery

KEPT = timedelta(days=90)
AT_ONCE, MOST_AT_ONCE = 500, 10_000


def forget_old() -> None:
    """Tick: deletes old deliveries with their decisions, in small transactions, and a bounded number at a time."""
    limit, count = timezone.now() - KEPT, 0
    while count < MOST_AT_ONCE:
        ids = list(
            Delivery.objects.filter(received_at__lt=limit)
            .order_by("received_at")
            .values_list("pk", flat=True)[:AT_ONCE]
        )
        if not ids:
            break
        Delivery.objects.filter(pk__in=ids).delete()
        count += len(ids)
