"""The first page of the portal's admin: how much there is of everything that is not a project's."""

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
    """How much there is, and the clusters that did not answer when last asked."""

    people: int
    clusters: int
    silent: tuple[str, ...]
    registries: int
    projects: int


@require_safe
def admin(request: HttpRequest) -> HttpResponse:
    """Where admins find everything that is not a project's."""
    require_admin(person(request.user))
    return render(request, "portal/admin.html", {"there": infrastructure()})


def infrastructure() -> Infrastructure:
    """Numbers of everything."""
    clusters = list(Cluster.objects.values_list("name", "last_error"))
    return Infrastructure(
        people=User.objects.filter(is_active=True).count(),
        clusters=len(clusters),
        silent=tuple(name for name, error in clusters if error),
        registries=Registry.objects.count(),
        projects=Project.objects.count(),
    )
