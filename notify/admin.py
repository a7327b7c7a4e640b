"""The outbox and alarms in the raw tables (Django's admin), read only."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from notify.models import Alarm, GitHubRefusal, Outgoing


@admin.register(Outgoing)
class OutgoingAdmin(ReadOnlyAdmin):
    """Sent and waiting messages, read only."""

    list_display = ("id", "kind", "recipient", "state", "tries", "created_at", "result")
    list_filter = ("state", "kind")
    search_fields = ("key", "recipient")
    show_full_result_count = False


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    """Troubles that operations were told of, read only."""

    list_display = ("key", "text", "began_at", "told_at", "ended_at")
    search_fields = ("key",)


@admin.register(GitHubRefusal)
class GitHubRefusalAdmin(ReadOnlyAdmin):
    """What GitHub does not take, read only."""

    list_display = ("project", "kind", "sentence", "since")
