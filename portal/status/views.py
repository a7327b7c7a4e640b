"""The status page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.status import Row
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
    groups = grouped([*own.rows(pulse), *(outside if is_admin else dependencies.for_others(outside))])
    rows = [row for _, of_group in groups for row in of_group]
    context = {
        "groups": groups,
        "bad": sum(row.state in BAD for row in rows),
        "unknown": sum(row.state == "unknown" for row in rows),
        "is_admin": is_admin,
        "at": timezone.now(),
    }
    part = "portal/_status.html" if request.htmx else "portal/status.html"  # type: ignore[attr-defined]
    return render(request, part, context)


def grouped(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """The rows by group: the portal's own parts first, then what is outside, in the order of their first rows."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(own.GROUP if not row.outside else row.group, []).append(row)
    return list(groups.items())
