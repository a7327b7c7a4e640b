"""Where the secrets can be seen that an audit event tells of."""

from __future__ import annotations

from django.urls import reverse

from audit.models import AuditEvent
from core.redactor import MASK


def secrets(event: AuditEvent) -> str:
    """The page of the environment's secrets, whose slugs the event names (`shop.staging: …`), unless a value hides them."""
    place = event.target_text.partition(":")[0]
    slugs = place.split(".")
    return reverse("secrets:environment", args=slugs) if len(slugs) == 2 and MASK not in place else ""
