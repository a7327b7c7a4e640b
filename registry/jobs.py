"""RQ's entry points for pull credentials, and the ticks that ask for them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from core.jobs import enqueue, slot
from projects.models import Cluster
from registry import running
from registry.models import OF_CURRENT, Refresh
from registry.reconcile import Ask
from registry.services import OPEN, QUEUE, start

KEPT = timedelta(days=30)


def look() -> None:
    """The tick: one job for each cluster that has something to look after. The minute is in the job's id, so that a failed job
    blocks none after it."""
    for pk in running.due_clusters():
        enqueue("registry.jobs.look_at", pk, queue=QUEUE, job_id=f"pull-look-{pk}-{slot(60)}")
    for row in Refresh.objects.filter(OF_CURRENT, state=Refresh.Progress.QUEUED)[:50]:
        start(row)


def look_at(cluster_id: int) -> None:
    """Job: compares what a cluster has with what it is to have, and renews what is due. One that waited long in the queue finds
    nothing to do."""
    cluster = Cluster.objects.current().filter(pk=cluster_id).first()
    if cluster is not None:
        running.look_at(cluster, Ask())


def refresh_asked(refresh_id: int) -> None:
    """Job: carries out a renewal that a person asked for."""
    running.carry_out(refresh_id)


def forget_old() -> None:
    """The tick that deletes renewals older than 30 days."""
    Refresh.objects.filter(asked_at__lt=timezone.now() - KEPT).exclude(state__in=OPEN).delete()
