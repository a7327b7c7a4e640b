"""Fetches rows of a project, and infrastructure, for views, and checks the right (projects/access.py)."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Count, Model, QuerySet
from django.http import Http404

from audit.actors import person
from people.services import require_admin
from projects.access import project_for, visible_projects
from projects.models import (
    Allotment,
    Cluster,
    Environment,
    Image,
    Membership,
    Project,
    Registry,
    Role,
    SecretsFile,
)

Row = TypeVar("Row", bound=Model)


def settings_of(user: Any, slug: str) -> Project:
    """The project whose settings the user may change. Raises Http404 or Refused."""
    return project_for(user, slug, Role.MAINTAINER)


def environment_of(project: Project, slug: str) -> Environment:
    """An environment of a project already fetched. Raises Http404."""
    return _or_404(
        Environment.objects.select_related("cluster", "project").filter(project=project, slug=slug),
        "environment",
    )


def image_of(project: Project, name: str) -> Image:
    """An image of a project already fetched. Raises Http404."""
    return _or_404(
        Image.objects.select_related("registry", "project").filter(project=project, name=name), "image"
    )


def secrets_file_of(project: Project, pk: int) -> SecretsFile:
    """A secrets file of a project already fetched. Raises Http404."""
    files = SecretsFile.objects.select_related("environment__project")
    return _or_404(files.filter(environment__project=project, pk=pk), "secrets file")


def membership_of(project: Project, pk: int) -> Membership:
    """A membership of a project already fetched. Raises Http404."""
    rows = Membership.objects.select_related("user", "project", "environment")
    return _or_404(rows.filter(project=project, pk=pk), "role")


def cluster_for(user: Any, slug: str) -> Cluster:
    """A cluster. Raises Refused unless the user is an admin, Http404."""
    require_admin(person(user))
    return _or_404(Cluster.objects.filter(slug=slug), "cluster")


def registry_for(user: Any, slug: str) -> Registry:
    """A registry. Raises Refused unless the user is an admin, Http404."""
    require_admin(person(user))
    return _or_404(Registry.objects.filter(slug=slug), "registry")


def allotment_for(user: Any, pk: int) -> Allotment:
    """An allotment. Raises Refused unless the user is an admin, Http404."""
    require_admin(person(user))
    return _or_404(Allotment.objects.select_related("project").filter(pk=pk), "allotment")


def clusters_for(user: Any) -> QuerySet[Cluster]:
    """All clusters with the number of their environments. Raises Refused unless the user is an
    admin."""
    require_admin(person(user))
    return Cluster.objects.annotate(used_by=Count("environments"))


def registries_for(user: Any) -> QuerySet[Registry]:
    """All registries with the number of their images. Raises Refused unless the user is an admin."""
    require_admin(person(user))
    return Registry.objects.annotate(used_by=Count("images"))


def sharing(user: Any, environment: Environment) -> list[str]:
    """Other environments in the same namespace of the same cluster, as text. Those that the user may not see stay
    unnamed."""
    others = Environment.objects.select_related("project").filter(
        cluster=environment.cluster_id, namespace=environment.namespace
    )
    others = others.exclude(pk=environment.pk)
    visible = set(visible_projects(user).filter(environments__in=others).values_list("pk", flat=True))
    return sorted(
        {
            f"{other.project} {other}" if other.project_id in visible else "an environment of another project"
            for other in others
        }
    )


def _or_404(rows: QuerySet[Row], what: str) -> Row:
    row = rows.first()
    if row is None:
        raise Http404(f"There is no such {what} here.")
    return row
