"""Builds among the raw tables (Django's admin), read only. Secrets of webhooks and tokens are not shown."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from builds.models import (
    Build,
    BuildCounter,
    BuildSecret,
    BuildSettings,
    BuiltImage,
    Decision,
    Delivery,
    Recipe,
    SeenBranch,
)


@admin.register(BuildSettings)
class BuildSettingsAdmin(ReadOnlyAdmin):
    """Rules of builds."""

    list_display = ("project", "on_push", "timeout", "at_once", "creates_repositories")
    list_select_related = ("project",)
    exclude = ("webhook_secret", "github_token")


@admin.register(Recipe)
class RecipeAdmin(ReadOnlyAdmin):
    """Recipes of images."""

    list_display = ("image", "target", "platform", "is_built")
    list_select_related = ("image",)


@admin.register(BuildSecret)
class BuildSecretAdmin(ReadOnlyAdmin):
    """Which secrets of AWS Dockerfiles mount."""

    list_display = ("project", "name", "secret_id", "key")
    list_select_related = ("project",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries of webhooks."""

    list_display = ("delivery_id", "event", "repository", "ref", "state", "sentence", "received_at")
    list_filter = ("event", "state")
    search_fields = ("delivery_id", "repository")
    show_full_result_count = False


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """What followed from deliveries."""

    list_display = ("delivery", "project", "verdict", "sentence", "made_at")
    list_select_related = ("delivery", "project")


@admin.register(Build)
class BuildAdmin(ReadOnlyAdmin):
    """Builds."""

    list_display = ("number", "project", "state", "revision", "cause", "created_at")
    list_select_related = ("project",)
    list_filter = ("state", "cause")
    search_fields = ("number", "revision", "actor_text")
    show_full_result_count = False


@admin.register(BuiltImage)
class BuiltImageAdmin(ReadOnlyAdmin):
    """Images of builds."""

    list_display = ("build", "name", "state", "reference", "digest", "size")
    list_select_related = ("build",)
    list_filter = ("state",)
    show_full_result_count = False


@admin.register(BuildCounter)
class BuildCounterAdmin(ReadOnlyAdmin):
    """The last number of a build."""

    list_display = ("name", "last")


@admin.register(SeenBranch)
class SeenBranchAdmin(ReadOnlyAdmin):
    """Branches and tags up to which builds were decided."""

    list_display = ("project", "ref", "head", "seen_at")
    list_select_related = ("project",)
