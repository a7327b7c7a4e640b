"""Notes changes that are no audit events, so that open pages show them soon (portal/live/)."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from core.models import Change

KEPT = timedelta(hours=1)
# Pages that are about no single project follow a topic. Rows of topics begin with a character that no slug has.
DELIVERIES, REGISTRY, STATUS = "deliveries", "registry", "status"
TOPICS = frozenset({DELIVERIES, REGISTRY, STATUS})


def note(project: str) -> None:
    """Notes that pages about a project (its slug) show something old now. Call it in the transaction of the change."""
    if project:
        Change.objects.create(project=project)


def note_topic(topic: str) -> None:
    """Notes that the pages of a topic show something old now. A page that follows it is told that much and no more. Call it in
    the transaction of the change."""
    Change.objects.create(project=mark_of(topic))


def mark_of(topic: str) -> str:
    """What stands for a topic in place of a project's slug."""
    return f"~{topic}"


def prune() -> None:
    """Tick: deletes changes that no page waits for any more."""
    Change.objects.filter(at__lt=Now() - KEPT).delete()
