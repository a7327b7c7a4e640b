"""What was seen running, among the raw tables, to be looked at."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from clusters.models import LiveState


@admin.register(LiveState)
class LiveStateAdmin(ReadOnlyAdmin):
    """The last answer of each environment's cluster."""

    list_display = ("environment", "health", "sentence", "read_at", "error")
    list_select_related = ("environment",)
    list_filter = ("health",)
