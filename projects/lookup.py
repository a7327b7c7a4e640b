"""Fetches rows of a project, and infrastructure, for views, and checks the right (projects/access.py)."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Count, Model, Q, QuerySet
from django.http import Http404

from audit.actors import person
from people.services import require_admin
from projects.access import archived, project_for, require_current, visible_projects
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
Place = TypeVar("Place", Cluster, Registry)


def settings_of(user: Any, slug: str) -> Project:
    """The project whose settings the user may change. Raises Http404 or Refused."""
    return project_for(user, slug, Role.MAINTAINER)


def environment_of(project: Project, slug: str) -> Environment:
    """An environment of a project already fetched, to change it. Raises Http404, Refused for an archived one."""
    rows = Environment.objects.select_related("cluster", "project").filter(project=project, slug=slug)
    found = _or_404(rows, "environment")
    require_current(project, found)
    return found


def image_of(project: Project, name: str) -> Image:
    """An image of a project already fetched, to change it. Raises Http404, Refused for an archived one."""
    rows = Image.objects.select_related("registry", "project").filter(project=project, name=name)
    found = _or_404(rows, "image")
    require_current(project, found)
    return found


def secrets_file_of(project: Project, pk: int) -> SecretsFile:
    """A secrets file of a project already fetched. Raises Http404, Refused for one of an archived environment."""
    files = SecretsFile.objects.select_related("environment__project")
    found = _or_404(files.filter(environment__project=project, pk=pk), "secrets file")
    require_current(project, found.environment)
    return found


def membership_of(project: Project, pk: int) -> Membership:
    """A membership of a project already fetched. Raises Http404."""
    rows = Membership.objects.select_related("user", "project", "environment")
    return _or_404(rows.filter(project=project, pk=pk), "role")


def cluster_for(user: Any, slug: str) -> Cluster:
    """A cluster, to change it. Raises Refused unless the user is an admin and for an archived one, Http404."""
    require_admin(person(user))
    return _current(_or_404(Cluster.objects.filter(slug=slug), "cluster"), "cluster")


def registry_for(user: Any, slug: str) -> Registry:
    """A registry, to change it. Raises Refused unless the user is an admin and for an archived one, Http404."""
    require_admin(person(user))
    return _current(_or_404(Registry.objects.filter(slug=slug), "registry"), "registry")


def _current(row: Place, what: str) -> Place:
    if row.archived_at:
        raise archived(f"The {what} {row.name}")
    return row


def allotment_for(user: Any, pk: int) -> Allotment:
    """An allotment. Raises Refused unless the user is an admin, Http404."""
    require_admin(person(user))
    return _or_404(Allotment.objects.select_related("project").filter(pk=pk), "allotment")


def clusters_for(user: Any) -> QuerySet[Cluster]:
    """The clusters with the number of their environments, without what is archived. Raises Refused unless the user is an
    admin."""
    require_admin(person(user))
    return Cluster.objects.current().annotate(used_by=_in_use("environments"))


def registries_for(user: Any) -> QuerySet[Registry]:
    """The registries with the number of their images, without what is archived. Raises Refused unless the user is an admin."""
    require_admin(person(user))
    return Registry.objects.current().annotate(used_by=_in_use("images"))


def _in_use(rows: str) -> Count:
    return Count(
        rows, filter=Q(**{f"{rows}__archived_at": None, f"{rows}__project__archived_at": None}), distinct=True
    )


def sharing(user: Any, environment: Environment) -> list[str]:
    """Other environments in the same namespace of the same cluster, as text. Those that the user may not see stay
    unnamed."""
    others = (
        Environment.objects.current()
        .select_related("project")
        .filter(cluster=environment.cluster_id, namespace=environment.namespace)
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
