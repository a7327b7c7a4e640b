"""The outbox among the raw tables, to be looked at."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from notify.models import Outgoing


@admin.register(Outgoing)
class OutgoingAdmin(ReadOnlyAdmin):
    """Messages, sent and waiting."""

    list_display = ("id", "kind", "recipient", "state", "tries", "created_at", "result")
    list_filter = ("state", "kind")
    search_fields = ("key", "recipient")
    show_full_result_count = False
