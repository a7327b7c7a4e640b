"""Steps and logs of runs in the raw tables (Django's admin), read only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.admin import ReadOnlyAdmin
from runs.models import LogChunk, Step


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin):
    """Steps, read only."""

    list_display = ("run_id", "name", "state", "started_at", "ended_at")
    list_filter = ("state", "name")
    search_fields = ("run_id",)
    show_full_result_count = False


@admin.register(LogChunk)
class LogChunkAdmin(ReadOnlyAdmin):
    """Log chunks, read only."""

    list_display = ("run_id", "sequence", "first_line", "line_count", "created_at")
    search_fields = ("run_id",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Defers the text: lists must not load it."""
        return super().get_queryset(request).defer("text")
