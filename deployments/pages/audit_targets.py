"""Links from audit events about deploys and environments to their pages."""

from __future__ import annotations

from django.urls import reverse

from audit.models import AuditEvent


def deploy(event: AuditEvent) -> str:
    """Address of the event's deploy; empty when the event has no number."""
    number = event.target_id
    return reverse("deployments:deploy", args=[int(number)]) if number.isdigit() else ""


def environment(event: AuditEvent) -> str:
    """Address of the event's environment; empty when the event does not name it by its slugs (`shop.staging`)."""
    slugs = event.target_text.split(".")
    return reverse("deployments:environment", args=slugs) if len(slugs) == 2 else ""
