"""Remembers whether a cluster answered the last request, so that further requests need not wait for a cluster that is
down."""

from __future__ import annotations

from django.core.cache import cache
from django.utils import timezone

from adapters.errors import ExternalError, TimedOut, Unavailable
from core.redactor import redact_text
from engine.errors import SlipwayError
from projects.models import Cluster

DOWN_SECONDS = 25  # a cluster that did not answer gets no request for this time


def why_down(cluster_id: int) -> str | None:
    """The error of the last request if the cluster did not answer within DOWN_SECONDS; else None."""
    message: str | None = cache.get(_key(cluster_id))
    return message


def note_failure(cluster: Cluster, error: SlipwayError) -> None:
    """Stores the error of a failed request. Unavailable and TimedOut mark the cluster as down for DOWN_SECONDS. An error
    that is no ExternalError counts as an answer, because the cluster itself is not at fault."""
    if isinstance(error, (Unavailable, TimedOut)):
        cache.set(_key(cluster.pk), redact_text(error.message)[:500], DOWN_SECONDS)
    note_cluster(cluster, error.message if isinstance(error, ExternalError) else "")


def note_cluster(cluster: Cluster, error: str) -> None:
    """Stores the time of the cluster's last answer, or `error` when it did not answer."""
    rows = Cluster.objects.filter(pk=cluster.pk)
    if error:
        rows.update(last_error=redact_text(error)[:500])
    else:
        rows.update(last_seen=timezone.now(), last_error="")


def _key(cluster_id: int) -> str:
    return f"cluster-down-{cluster_id}"
