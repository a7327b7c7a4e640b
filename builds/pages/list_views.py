"""The list of builds, and the images that they push."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from builds.models import BuiltImage
from builds.pages import build_rows, listing, times
from builds.pages.new_views import projects_to_build
from builds.pushed import DONE
from core import keyset
from projects.access import visible_filter, visible_projects
from projects.models import Image


@require_safe
def builds(request: HttpRequest) -> HttpResponse:
    """GET: a page of the builds that match the filters. An htmx request gets only the part that updates itself."""
    chosen = listing.BuildFilter(request.GET, user=request.user)
    page = listing.page(chosen, request.GET)
    rows = [build_rows.line(build) for build in page.rows]
    is_newest = not {"before", "after"} & set(request.GET)
    context = {
        "filter": chosen,
        "page": page,
        "rows": rows,
        "shown": f"#{rows[0].build.number} to #{rows[-1].build.number}" if rows else "",
        "query": request.GET.urlencode(),
        "open_count": listing.open_count(request.user),
        "follows": is_newest,
        "may_ask": projects_to_build(request.user).exists(),
    }
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "builds/_list.html", context)
    return render(request, "builds/list.html", context | chart_of(request.user, chosen))


def chart_of(user: Any, chosen: listing.BuildFilter) -> dict[str, object]:
    """The chart of the project that the list is filtered by, where there is one."""
    slug = chosen.form.cleaned_data.get("project") if chosen.form.is_valid() else ""
    project = visible_projects(user).filter(slug=slug).first() if slug else None
    return {"project": project, "chart": times.chart(project)} if project else {}


@require_safe
def images(request: HttpRequest) -> HttpResponse:
    """GET: the images of the projects that the person may see, each with the build that pushed it last."""
    page = keyset.page(with_last_build(request.user), request.GET, key="pk")
    context = {"page": page, "query": request.GET.urlencode(), "open_count": listing.open_count(request.user)}
    return render(request, "builds/images.html", context)


def with_last_build(user: Any) -> QuerySet[Image]:
    """Images with `built` attributes of the newest image that a build pushed."""
    pushed = BuiltImage.objects.filter(image=OuterRef("pk"), state__in=DONE).order_by("-pk")
    rows = (
        Image.objects.current().filter(visible_filter(user, "project")).select_related("project", "registry")
    )
    return rows.annotate(
        built_number=Subquery(pushed.values("build__number")[:1]),
        built_revision=Subquery(pushed.values("build__revision")[:1]),
        built_at=Subquery(pushed.values("build__ended_at")[:1]),
        built_size=Subquery(pushed.values("size")[:1]),
    )
