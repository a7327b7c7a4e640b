"""The history page and its export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.actors import person
from core.csvexport import CsvResponse
from deployments.models import Deploy
from deployments.pages import deploy_rows, going_back, history
from deployments.pages.export import export_history


@require_safe
def history_page(request: HttpRequest) -> HttpResponse:
    """GET: a page of the deploys that match the filters."""
    chosen = history.HistoryFilter(request.GET, user=request.user)
    page = history.page(chosen, request.GET)
    back = ways_back(request.user, chosen, page.rows)
    rows = deploy_rows.lines(page.rows, back)
    context = {
        "filter": chosen,
        "page": page,
        "rows": rows,
        "has_ways_back": bool(back),
        "shown": f"#{rows[0].deploy.number} to #{rows[-1].deploy.number}" if rows else "",
        "query": request.GET.urlencode(),
    }
    return render(request, "deployments/history.html", context)


def ways_back(user: Any, chosen: history.HistoryFilter, rows: Sequence[Deploy]) -> set[int]:
    """The primary keys of deploys that can be rolled back to, where the filters leave one environment."""
    if not chosen.form.is_valid() or chosen.environments is None or len(chosen.environments) != 1 or not rows:
        return set()
    return going_back.ways(rows, [going_back.of_environment(user, rows[0].environment)])


@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """GET: the same deploys as CSV. With invalid filters it answers with the page, which shows the errors."""
    chosen = history.HistoryFilter(request.GET, user=request.user)
    if not chosen.form.is_valid():
        return history_page(request)
    made = export_history(person(request.user), chosen=chosen, filters=request.GET.dict())
    return CsvResponse(lambda: made, filename=f"deploys-{timezone.now():%Y-%m-%d}.csv")  # type: ignore[return-value]
