"""The pages of audit events about build settings and deliveries, and what builds use of the outside, for allotments."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import reverse

from audit.models import AuditEvent
from builds.models import BuildSecret
from projects.allotting.uses import Use
from projects.allotting.wishes import of_secret
from projects.models import Project


def settings_of_event(event: AuditEvent) -> str:
    """The build settings of the event's project."""
    return reverse("pushes:settings", args=[event.project_slug])


def deliveries_of_event(event: AuditEvent) -> str:
    """The deliveries of the event's project."""
    return f"{reverse('pushes:deliveries')}?project={event.project_slug}"


def uses(project: Project | None = None) -> Iterator[Use]:
    """The secrets and roles that build secrets name, of one project or of all."""
    rows = BuildSecret.objects.filter(project__archived_at=None)
    if project is not None:
        rows = rows.filter(project=project)
    for row in rows:
        for wish in of_secret(row.secret_id, row.role_arn):
            yield Use(row.project_id, f"the build secret {row.name}", wish)
