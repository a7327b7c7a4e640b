"""Projects and infrastructure among the raw tables. Credentials are no fields here; slugs never change."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import MendingAdmin, ReadOnlyAdmin
from projects.models import Cluster, Environment, Image, Membership, Project, Registry, SecretsFile


@admin.register(Cluster)
class ClusterAdmin(MendingAdmin):
    """Clusters, without their kubeconfigs."""

    kind = "cluster"
    list_display = ("slug", "name", "version", "last_seen")
    exclude = ("kubeconfig", "edited")
    readonly_fields = ("slug", "version", "last_seen", "last_error")


@admin.register(Registry)
class RegistryAdmin(MendingAdmin):
    """Registries."""

    kind = "registry"
    list_display = ("slug", "name", "endpoint", "region")
    exclude = ("edited",)
    readonly_fields = ("slug",)


@admin.register(Project)
class ProjectAdmin(MendingAdmin):
    """Projects, without their Git credentials. The address is changed where the credential is asked for anew."""

    kind = "project"
    list_display = ("slug", "name", "repository_url")
    search_fields = ("slug", "name")
    exclude = ("credential", "edited")
    readonly_fields = ("slug", "repository_url", "credential_kind", "created_at")


@admin.register(Image)
class ImageAdmin(MendingAdmin):
    """Images."""

    kind = "image"
    list_display = ("name", "project", "repository")
    exclude = ("edited",)
    readonly_fields = ("project", "name")


@admin.register(Environment)
class EnvironmentAdmin(MendingAdmin):
    """Environments."""

    kind = "environment"
    list_display = ("slug", "project", "cluster", "namespace", "is_production")
    list_select_related = ("project", "cluster")
    exclude = ("edited",)
    readonly_fields = ("project", "slug")


@admin.register(SecretsFile)
class SecretsFileAdmin(MendingAdmin):
    """Which secret of AWS stands for which file."""

    kind = "secrets_file"
    list_display = ("path", "environment", "secret_id", "region")
    exclude = ("edited",)
    readonly_fields = ("environment",)


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Roles. They are given and taken on the project's page, which tells the audit."""

    list_display = ("user", "project", "environment", "role")
    list_select_related = ("user", "project", "environment")
    list_filter = ("role",)
