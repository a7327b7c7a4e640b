"""The pages of what audit events about deploys and environments tell of."""

from __future__ import annotations

from django.urls import reverse

from audit.models import AuditEvent


def deploy(event: AuditEvent) -> str:
    """The deploy of that number."""
    number = event.target_id
    return reverse("deployments:deploy", args=[int(number)]) if number.isdigit() else ""


def environment(event: AuditEvent) -> str:
    """The environment, where the event names it by its slugs (`shop.staging`)."""
    slugs = event.target_text.split(".")
    return reverse("deployments:environment", args=slugs) if len(slugs) == 2 else ""
