"""The raw tables of Django's admin: admins may read them. They change data on the portal's own pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from audit.models import AuditEvent, IntegrityCheck
from core.fields import EncryptedTextField


class ReadOnlyAdmin(admin.ModelAdmin):
    """A read-only table. Data changes only on the portal's own pages, which check it and write audit events.

    It leaves out all encrypted fields, because a page would show them decrypted. It does not load them either, so that a
    row stays readable when no key decrypts its credential.
    """

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The excluded fields of the table, and every encrypted field."""
        return [*(super().get_exclude(request, obj) or ()), *self._encrypted()]

    def get_queryset(self, request: HttpRequest) -> Any:
        """All rows, without the encrypted fields."""
        return super().get_queryset(request).defer(*self._encrypted())

    def _encrypted(self) -> list[str]:
        fields = self.model._meta.concrete_fields
        return [field.name for field in fields if isinstance(field, EncryptedTextField)]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
