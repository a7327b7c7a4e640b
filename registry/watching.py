"""What the portal remembers of a cluster between two looks: that it answered, or since when it does not."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Case, Q, Value, When
from django.utils import timezone

from core.redactor import redact_text
from projects.models import Cluster
from registry.faults import Fault
from registry.models import Credential, State, Watch
from registry.tokens import pause_after

OUTAGE = timedelta(minutes=10)  # without a look; then what is renewed has the cause START


def watch_of(cluster: Cluster) -> Watch:
    """The cluster's row."""
    return Watch.objects.get_or_create(cluster=cluster)[0]


def was_away(watch: Watch, now: datetime) -> bool:
    """Whether the portal, or the cluster, was away for a while."""
    return watch.looked_at is not None and watch.looked_at < now - OUTAGE


def note_look(watch: Watch) -> None:
    """The cluster answered and everything was compared."""
    Watch.objects.filter(pk=watch.pk).update(
        looked_at=timezone.now(), attempts=0, next_try_at=None, failing_since=None, last_error="", hint=""
    )


def note_silence(watch: Watch, fault: Fault) -> None:
    """The cluster did not answer, or does not let us look. One row of error, and a growing pause. What is on it is not known,
    but for tokens that have ended meanwhile."""
    now = timezone.now()
    attempts = watch.attempts + 1
    Watch.objects.filter(pk=watch.pk).update(
        attempts=attempts, next_try_at=now + pause_after(attempts), failing_since=watch.failing_since or now,
        last_error=redact_text(fault.sentence)[:500], hint=redact_text(fault.hint)[:500],
    )  # fmt: skip
    ended = When(Q(expires_at__lte=now), then=Value(State.ENDED))
    Credential.objects.filter(cluster=watch.cluster_id).update(
        state=Case(ended, default=Value(State.UNKNOWN)),
        last_error=redact_text(fault.sentence)[:500], hint=redact_text(fault.hint)[:500],
    )  # fmt: skip
