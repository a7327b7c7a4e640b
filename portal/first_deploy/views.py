"""The checklist of a project without a deploy, as a part of the project's page and, without script, as a page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from portal.first_deploy.checklist import checklist, chosen, is_over
from projects.access import project_for


@require_safe
def first_deploy(request: HttpRequest, project: str) -> HttpResponse:
    """What is left until the first deploy; `?environment=` chooses whose list is shown. Once one has succeeded the part is empty,
    and the page leads to the project's."""
    found = project_for(request.user, project)
    over = is_over(found)
    lists = [] if over else checklist(request.user, found)
    shown = chosen(lists, request.GET.get("environment", ""))
    context = {"project": found, "lists": lists, "list": shown}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "portal/_first_deploy.html", context)
    if shown is None:
        return redirect("portal:project", project)
    return render(request, "portal/first_deploy.html", context)
