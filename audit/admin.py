"""The raw tables of Django's admin: admins may read them. They change data on the portal's own pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from audit.models import AuditEvent, IntegrityCheck
from core.fields import EncryptedTextField


def encrypted_fields(model: type[Model]) -> list[str]:
    """The names of a model's encrypted fields."""
    return [field.name for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]


class ReadOnlyAdmin(admin.ModelAdmin):
    """A read-only table. Data changes only on the portal's own pages, which check it and write audit events.

    It leaves out all encrypted fields: even a ciphertext is nobody's business. A
    field that is left out cannot be searched by the page's address: the answers would tell it letter by letter.
    """

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The excluded fields of the table, and every encrypted field."""
        return [*(super().get_exclude(request, obj) or ()), *self._encrypted()]

    def get_queryset(self, request: HttpRequest) -> Any:
        """All rows with their related ones."""
        related = self.list_select_related if isinstance(self.list_select_related, (list, tuple)) else ()
        rows = super().get_queryset(request)
        return rows.select_related(*related) if related else rows

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Whether rows may be filtered by this address parameter; not by fields that the table leaves out."""
        field = lookup.split("__", 1)[0]
        return field not in self.get_exclude(request) and super().lookup_allowed(lookup, value, request)

    def _encrypted(self) -> list[str]:
        return encrypted_fields(self.model)

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
