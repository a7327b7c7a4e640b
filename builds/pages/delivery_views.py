"""The page of push deliveries, and replaying one."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit.actors import person
from builds.concerned import hears_site
from builds.models import Delivery
from builds.pages.delivery_rows import lines, visible
from builds.pages.listing import open_count
from builds.replaying import replay
from core import keyset
from projects.access import project_for, role_in
from projects.models import Role


@require_safe
def deliveries(request: HttpRequest) -> HttpResponse:
    """GET: a page of the deliveries that the person may see, of all projects or of one (`?project=`). An htmx request gets
    only the part that updates itself."""
    slug = request.GET.get("project", "")
    project = project_for(request.user, slug) if slug else None
    page = keyset.page(visible(request.user, project), request.GET, key="pk")
    context = {
        "page": page,
        "lines": lines(request.user, page.rows),
        "project": project,
        "query": request.GET.urlencode(),
        "follows": not {"before", "after"} & set(request.GET),
        "sets_up": project is not None and may_change(role_in(request.user, project)),
    }
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "builds/_deliveries.html", context)
    around = {"open_count": open_count(request.user), "site_counts": project is None or hears_site(project)}
    return render(request, "builds/deliveries.html", context | around)


def may_change(role: Role | None) -> bool:
    """Whether a role lets change a project's settings."""
    return role is not None and role.rank >= Role.MAINTAINER.rank


@require_POST
def replay_one(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: decides a delivery anew in the project that the form names. `back`: the query string of the page that
    it came from."""
    project = project_for(request.user, request.POST.get("project", ""), Role.DEPLOYER)
    delivery = Delivery.objects.filter(pk=pk, decisions__project=project).first()
    if delivery is None:
        raise Http404("No such delivery.")
    decision = replay(person(request.user), delivery, project)
    followed = f"Build {decision.build.number}" if decision.build else "No build"
    messages.success(request, f"Replayed: {followed}. {decision.sentence}")
    return redirect(f"{reverse('pushes:deliveries')}{back_to(request.POST.get('back', ''))}#delivery-{pk}")


def back_to(query: str) -> str:
    """The query string of a page of deliveries, from what a form sent."""
    given, kept = QueryDict(query[:200]), QueryDict(mutable=True)
    for name in ("project", "before", "after"):
        if name in given:
            kept[name] = given[name]
    return f"?{kept.urlencode()}" if kept else ""
