"""The page of the pull credentials, and the part of it that updates itself."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core import keyset
from registry.pages.listing import Asked
from registry.pages.overview import overview
from registry.pages.past import done
from registry.queries import refreshes_for

SHOWN = 12


@require_safe
def registry(request: HttpRequest) -> HttpResponse:
    """GET: every credential that the person may see. An htmx request gets only the part that updates itself."""
    user: Any = request.user
    asked = Asked.of(request.GET)
    shown = overview(user, asked, timezone.now())
    rows = refreshes_for(user)
    rows = rows.filter(cluster__slug=asked.cluster) if asked.cluster else rows
    past = keyset.page(rows, request.GET, key="id", size=SHOWN)
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "view": shown,
        "past": past,
        "done": done(user, past.rows),
        "reads_audit": user.is_admin or user.is_auditor,
        "query": request.GET.urlencode(),
        "without_page": query.urlencode(),
    }
    part = "registry/_live.html" if request.htmx else "registry/registry.html"  # type: ignore[attr-defined]
    return render(request, part, context)
