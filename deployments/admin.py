"""Releases and deploys in the raw tables (Django's admin), read only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.admin import ReadOnlyAdmin
from deployments.models import AutomaticChoice, BranchState, Deploy, DeployCounter, ObjectState, Plan, Release


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    """Releases, without their compressed objects."""

    list_display = ("id", "environment", "revision", "object_count", "created_at", "verified_at")
    list_select_related = ("environment",)
    exclude = ("objects_compressed",)
    search_fields = ("revision",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Defers the compressed objects: lists must not load them."""
        return super().get_queryset(request).defer("objects_compressed")


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    """What previews showed. The key of a form is not shown."""

    list_display = ("id", "environment", "kind", "revision", "newest", "made_at")
    list_select_related = ("environment",)
    exclude = ("key",)
    show_full_result_count = False


@admin.register(Deploy)
class DeployAdmin(ReadOnlyAdmin):
    """Deploys, read only."""

    list_display = ("number", "environment", "state", "revision", "actor_text", "created_at")
    list_select_related = ("environment",)
    list_filter = ("state", "kind")
    search_fields = ("number", "revision", "actor_text")
    show_full_result_count = False


@admin.register(ObjectState)
class ObjectStateAdmin(ReadOnlyAdmin):
    """Objects of deploys, each with its action and progress."""

    list_display = ("run_id", "ref", "action", "progress")
    list_filter = ("progress",)
    search_fields = ("run_id", "ref")
    show_full_result_count = False


@admin.register(DeployCounter)
class DeployCounterAdmin(ReadOnlyAdmin):
    """The highest deploy number used so far."""

    list_display = ("name", "last")


@admin.register(BranchState)
class BranchStateAdmin(ReadOnlyAdmin):
    """Default branches as the last fetch found them."""

    list_display = ("project", "branch", "head", "fetched_at", "error")
    list_select_related = ("project",)


@admin.register(AutomaticChoice)
class AutomaticChoiceAdmin(ReadOnlyAdmin):
    """What rules of automatic deploys did with green builds, read only."""

    list_display = ("environment", "build", "deploy", "sentence", "made_at")
    list_select_related = ("environment", "build", "deploy")
