"""The page of push deliveries, and replaying one."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from audit.actors import person
from builds.models import Delivery
from builds.pages.delivery_rows import lines, visible
from builds.replaying import replay
from core import keyset
from projects.access import project_for
from projects.models import Role


@require_safe
def deliveries(request: HttpRequest) -> HttpResponse:
    """GET: a page of the deliveries that the person may see, of all projects or of one (`?project=`)."""
    slug = request.GET.get("project", "")
    project = project_for(request.user, slug) if slug else None
    page = keyset.page(visible(request.user, project), request.GET, key="pk")
    context = {"page": page, "lines": lines(request.user, page.rows), "project": project}
    return render(request, "builds/deliveries.html", context)


@require_POST
def replay_one(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: decides a delivery anew in the project that the form names."""
    project = project_for(request.user, request.POST.get("project", ""), Role.DEPLOYER)
    delivery = Delivery.objects.filter(pk=pk, decisions__project=project).first()
    if delivery is None:
        raise Http404("No such delivery.")
    decision = replay(person(request.user), delivery, project)
    followed = f"Build {decision.build.number}" if decision.build else "No build"
    messages.success(request, f"Replayed: {followed}. {decision.sentence}")
    return redirect("pushes:deliveries")
