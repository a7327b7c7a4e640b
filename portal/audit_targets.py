"""The pages of audit events' targets in projects."""

from __future__ import annotations

from django.urls import reverse

from audit.models import AuditEvent


def project(event: AuditEvent) -> str:
    """The project's page."""
    return reverse("portal:project", args=[event.project_slug]) if event.project_slug else ""
