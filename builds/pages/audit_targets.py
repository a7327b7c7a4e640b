"""Links from audit events about builds to their pages."""

from __future__ import annotations

from django.urls import reverse

from audit.models import AuditEvent


def build(event: AuditEvent) -> str:
    """Address of the event's build; empty when the event has no number."""
    number = event.target_id
    return reverse("builds:build", args=[int(number)]) if number.isdigit() else ""
