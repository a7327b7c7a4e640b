"""Where the secrets can be seen that an audit event tells of."""

from __future__ import annotations

from django.urls import reverse

from audit.models import AuditEvent


def secrets(event: AuditEvent) -> str:
    """The page of the environment's secrets, whose slugs the event names (`shop.staging: …`)."""
    slugs = event.target_text.partition(":")[0].split(".")
    return reverse("secrets:environment", args=slugs) if len(slugs) == 2 else ""
