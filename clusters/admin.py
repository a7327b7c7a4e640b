"""Live states in the raw tables (Django's admin), read only."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from clusters.models import LiveState, Trouble


@admin.register(LiveState)
class LiveStateAdmin(ReadOnlyAdmin):
    """The last live state of each environment, read only."""

    list_display = ("environment", "health", "sentence", "read_at", "error")
    list_select_related = ("environment",)
    list_filter = ("health",)


@admin.register(Trouble)
class TroubleAdmin(ReadOnlyAdmin):
    """Workloads that failed between deploys, read only."""

    list_display = ("environment", "name", "sentence", "began_at", "ended_at", "told_at")
    list_select_related = ("environment",)
