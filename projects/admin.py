"""Read-only raw tables of projects and infrastructure."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from projects.models import Allotment, Cluster, Environment, Image, Membership, Project, Registry, SecretsFile


@admin.register(Cluster)
class ClusterAdmin(ReadOnlyAdmin):
    """Clusters, without their kubeconfigs."""

    list_display = ("slug", "name", "version", "last_seen")


@admin.register(Registry)
class RegistryAdmin(ReadOnlyAdmin):
    """Registries."""

    list_display = ("slug", "name", "endpoint", "region")


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    """Projects, without their Git credentials."""

    list_display = ("slug", "name", "repository_url")
    search_fields = ("slug", "name")


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    """Images."""

    list_display = ("name", "project", "repository")
    list_select_related = ("project",)


@admin.register(Environment)
class EnvironmentAdmin(ReadOnlyAdmin):
    """Environments."""

    list_display = ("slug", "project", "cluster", "namespace", "is_production")
    list_select_related = ("project", "cluster")


@admin.register(SecretsFile)
class SecretsFileAdmin(ReadOnlyAdmin):
    """Secrets files: path and secret of AWS."""

    list_display = ("path", "environment", "secret_id", "region")
    list_select_related = ("environment",)


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Roles. Grant and revoke them on the project's page, which writes audit events."""

    list_display = ("user", "project", "environment", "role")
    list_select_related = ("user", "project", "environment")
    list_filter = ("role",)


@admin.register(Allotment)
class AllotmentAdmin(ReadOnlyAdmin):
    """What is allotted to projects."""

    list_display = ("project", "kind", "pattern")
    list_select_related = ("project",)
