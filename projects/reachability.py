"""Whether a cluster answered when it was last asked: whoever asks one notes it, and others need not wait for it, too."""

from __future__ import annotations

from django.core.cache import cache
from django.utils import timezone

from adapters.errors import ExternalError, TimedOut, Unavailable
from core.redactor import redact_text
from engine.errors import SlipwayError
from projects.models import Cluster

DOWN_SECONDS = 25  # a cluster that did not answer is left alone that long


def why_down(cluster_id: int) -> str | None:
    """Why the cluster did not answer a moment ago, so that it need not be asked; None when it did, or was not asked."""
    message: str | None = cache.get(_key(cluster_id))
    return message


def note_failure(cluster: Cluster, error: SlipwayError) -> None:
    """Keeps what asking the cluster failed with. What only the namespace refuses says nothing against the cluster."""
    if isinstance(error, (Unavailable, TimedOut)):
        cache.set(_key(cluster.pk), redact_text(error.message)[:500], DOWN_SECONDS)
    note_cluster(cluster, error.message if isinstance(error, ExternalError) else "")


def note_cluster(cluster: Cluster, error: str) -> None:
    """When a cluster last answered, or why it did not."""
    rows = Cluster.objects.filter(pk=cluster.pk)
    if error:
        rows.update(last_error=redact_text(error)[:500])
    else:
        rows.update(last_seen=timezone.now(), last_error="")


def _key(cluster_id: int) -> str:
    return f"cluster-down-{cluster_id}"
