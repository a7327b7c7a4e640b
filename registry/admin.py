"""Pull credentials among the raw tables. Tokens are not even decrypted."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from registry.models import (
    Credential,
    KnownImage,
    PullPolicy,
    Refresh,
    RefreshResult,
    RegistryToken,
    Watch,
    WriterLease,
)


@admin.register(PullPolicy)
class PullPolicyAdmin(ReadOnlyAdmin):
    """Which namespaces get which credential."""

    list_display = ("cluster", "namespaces", "secret_name", "enabled", "paused_until")
    list_select_related = ("cluster",)


@admin.register(RegistryToken)
class RegistryTokenAdmin(ReadOnlyAdmin):
    """Tokens: when they were made and when they end."""

    list_display = ("region", "role_arn", "minted_at", "expires_at", "proven_at", "last_error")


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    """When each cluster was looked at."""

    list_display = ("cluster", "looked_at", "failing_since", "last_error")
    list_select_related = ("cluster",)


@admin.register(Credential)
class CredentialAdmin(ReadOnlyAdmin):
    """The Secrets of the namespaces."""

    list_display = ("cluster", "namespace", "secret_name", "state", "expires_at", "last_error")
    list_select_related = ("cluster",)
    list_filter = ("state",)


@admin.register(Refresh)
class RefreshAdmin(ReadOnlyAdmin):
    """Renewals."""

    list_display = ("id", "cluster", "namespace", "cause", "state", "sentence", "asked_at")
    list_select_related = ("cluster",)
    list_filter = ("cause", "state")


@admin.register(RefreshResult)
class RefreshResultAdmin(ReadOnlyAdmin):
    """What each renewal did to each Secret."""

    list_display = ("refresh", "credential", "result", "sentence")
    list_select_related = ("credential",)


@admin.register(WriterLease)
class WriterLeaseAdmin(ReadOnlyAdmin):
    """Who may write."""

    list_display = ("name", "holder", "until", "fence")


@admin.register(KnownImage)
class KnownImageAdmin(ReadOnlyAdmin):
    """Images that tokens are tried on."""

    list_display = ("image", "reference", "noted_at")
    list_select_related = ("image",)
