"""The search: a page, and the list below the field while a person types."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.search.finding import LONGEST, find


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """GET: what fits `?q=`. An htmx request gets only the list."""
    found = find(request.user, request.GET.get("q", "")[: 2 * LONGEST])
    part = "portal/_found.html" if request.htmx else "portal/search.html"  # type: ignore[attr-defined]
    return render(request, part, {"found": found})
