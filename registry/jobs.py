"""RQ's entry points for pull credentials, and the ticks that ask for them."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from core.jobs import enqueue
from projects.models import Cluster
from registry.models import Refresh
from registry.services import QUEUE, start

KEPT = timedelta(days=30)


def look() -> None:
    """The tick: one job for each cluster that has something to look after. The minute is in the job's id, so that a failed job
    blocks none after it."""
    slot = int(time.time()) // 60
    for pk in due_clusters():
        enqueue("registry.jobs.look_at", pk, queue=QUEUE, job_id=f"pull-look-{pk}-{slot}")
    for row in Refresh.objects.filter(state=Refresh.Progress.QUEUED)[:50]:
        start(row)


def due_clusters() -> list[int]:
    """The clusters to look at now: not those that gave no answer and whose pause is not over."""
    now = timezone.now()
    waits = Q(pull_watch__next_try_at__gt=now)
    return list(Cluster.objects.exclude(waits).values_list("pk", flat=True))


def look_at(cluster_id: int) -> None:
    """Job: compares what a cluster has with what it is to have, and renews what is due."""


def refresh_asked(refresh_id: int) -> None:
    """Job: carries out a renewal that a person asked for."""


def forget_old() -> None:
    """The tick that deletes renewals older than 30 days."""
    Refresh.objects.filter(asked_at__lt=timezone.now() - KEPT).exclude(
        state__in=("queued", "running")
    ).delete()
