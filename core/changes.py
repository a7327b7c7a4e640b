"""Notes changes that are no audit events, so that open pages show them soon (portal/live/)."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from core.models import Change

KEPT = timedelta(hours=1)


def note(project: str) -> None:
    """Notes that pages about a project (its slug) show something old now. Call it in the transaction of the change."""
    if project:
        Change.objects.create(project=project)


def prune() -> None:
    """Tick: deletes changes that no page waits for any more."""
    Change.objects.filter(at__lt=Now() - KEPT).delete()
