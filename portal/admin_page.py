"""The first page of the portal's admin: counts of accounts, clusters and registries."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from audit.actors import person
from people.models import User
from people.services import require_admin
from projects.models import Cluster, Project, Registry


@dataclass(frozen=True)
class Infrastructure:
    """Counts, and the clusters that did not answer the last request."""

    people: int
    clusters: int
    silent: tuple[str, ...]
    registries: int
    projects: int


@require_safe
def admin(request: HttpRequest) -> HttpResponse:
    """The admin's first page."""
    require_admin(person(request.user))
    return render(request, "portal/admin.html", {"there": infrastructure()})


def infrastructure() -> Infrastructure:
    """The counts for the page."""
    clusters = list(Cluster.objects.current().values_list("name", "last_error"))
    return Infrastructure(
        people=User.objects.filter(is_active=True).count(),
        clusters=len(clusters),
        silent=tuple(name for name, error in clusters if error),
        registries=Registry.objects.current().count(),
        projects=Project.objects.current().count(),
    )
