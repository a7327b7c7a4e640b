"""Secrets' versions among the raw tables: history, to be looked at. Drafts are shown without what was typed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.admin import ReadOnlyAdmin
from secrets_ui.models import (
    ChangeRequest,
    CreationRequest,
    Draft,
    Secret,
    SecretAddress,
    SecretVersion,
    VersionUse,
)


@admin.register(Secret)
class SecretAdmin(ReadOnlyAdmin):
    """Secrets of AWS as they were described last."""

    list_display = ("name", "region", "current_version", "described_at")
    search_fields = ("name", "arn")


@admin.register(SecretAddress)
class SecretAddressAdmin(ReadOnlyAdmin):
    """Names and ARNs in the settings, with their secrets."""

    list_display = ("named", "region", "role_arn", "secret")
    list_select_related = ("secret",)


@admin.register(SecretVersion)
class SecretVersionAdmin(ReadOnlyAdmin):
    """Versions, without the list of their keys: who may see names is each environment's own setting."""

    list_display = ("version_id", "secret", "state", "source", "actor_text", "created_at")
    list_select_related = ("secret",)
    list_filter = ("state", "source")
    exclude = ("keys", "touched")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the big columns."""
        return super().get_queryset(request).defer("keys", "touched")


@admin.register(Draft)
class DraftAdmin(ReadOnlyAdmin):
    """Drafts: whose, of what, until when."""

    list_display = ("user", "secret", "ends_at")
    list_select_related = ("user", "secret")
    exclude = ("edits",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what was typed: it is not even decrypted."""
        return super().get_queryset(request).defer("edits")


@admin.register(VersionUse)
class VersionUseAdmin(ReadOnlyAdmin):
    """Which deploy used which version."""

    list_display = ("version_id", "secret", "deploy_number", "environment_text", "used_at")
    list_select_related = ("secret",)


@admin.register(ChangeRequest)
class ChangeRequestAdmin(ReadOnlyAdmin):
    """Change requests."""

    list_display = ("id", "environment", "slot", "state", "decided_by", "created_at")
    list_select_related = ("environment",)
    list_filter = ("state",)


@admin.register(CreationRequest)
class CreationRequestAdmin(ReadOnlyAdmin):
    """Requests to make a secret."""

    list_display = ("id", "environment", "named", "state", "decided_by", "created_at")
    list_select_related = ("environment",)
    list_filter = ("state",)
