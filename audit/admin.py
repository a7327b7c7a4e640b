"""The raw tables of Django's admin, for admins: what they share, and the audit itself, which nobody edits.

The portal's own pages are where things are changed: they check, and tell the audit. Here rows can be looked at and, where it
is harmless, mended; that is audited, too.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from audit.actors import person
from audit.models import AuditEvent, IntegrityCheck
from audit.record import record


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that are history: to be looked at only."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MendingAdmin(admin.ModelAdmin):
    """Rows whose fields may be mended, audited as `<kind>.changed`. Not made or deleted here: history hangs on them.

    `kind`: the audit's word for such a row. A form that somebody has open elsewhere becomes stale.
    """

    kind = ""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        """Saves the changed fields and tells the audit their names."""
        changed = list(form.changed_data)
        if not changed:
            return
        if hasattr(obj, "edited"):
            obj.edited += 1
        super().save_model(request, obj, form, change)
        record(
            person(request.user), f"{self.kind}.changed", target_kind=self.kind, target_id=obj.pk,
            target_text=str(obj), data={"in the raw tables": changed},
        )  # fmt: skip


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Audit events."""

    list_display = ("at", "actor_text", "verb", "target_text", "project_slug")
    list_filter = ("verb",)
    search_fields = ("actor_text", "target_text", "request_id")
    show_full_result_count = False


@admin.register(IntegrityCheck)
class IntegrityCheckAdmin(ReadOnlyAdmin):
    """Verifications of the chain."""

    list_display = ("checked_at", "events", "broken_count", "seconds")
