"""The status page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.status import dependencies, own, telling, watch

BAD = ("failed", "unreachable", "warning")


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Every dependency with its state. An htmx request gets only the part that changes by itself."""
    is_admin = bool(getattr(request.user, "is_admin", False))
    pulse = watch.now()
    telling.look()
    outside = dependencies.rows()
    if not is_admin:
        outside = dependencies.for_others(outside)
    groups = [("Portal", own.rows(pulse)), ("Outside systems", outside)]
    rows = [row for _, of_group in groups for row in of_group]
    context = {
        "groups": groups,
        "bad": [row.name for row in rows if row.state in BAD],
        "unknown": sum(row.state == "unknown" for row in rows),
        "is_admin": is_admin,
        "at": timezone.now(),
    }
    part = "portal/_status.html" if request.htmx else "portal/status.html"  # type: ignore[attr-defined]
    return render(request, part, context)
