"""The audit's pages: the list, one event, the export, verifying the chain. For admins and auditors."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from audit import anchor, integrity, reading
from audit.actors import person
from audit.export import export_events
from audit.filters import AuditFilter
from core import keyset
from core.csvexport import CsvResponse


@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """A page of the events that match the filters in the address."""
    chosen = AuditFilter(request.GET, events=reading.events_for(request.user))
    page = keyset.Page([], "", "")
    if chosen.form.is_valid():
        page = keyset.page(chosen.qs, request.GET, key="id", size=50)
    context = {
        "filter": chosen,
        "page": page,
        "days": reading.by_day(page.rows),
        "check": integrity.last_check(),
        "running": integrity.running_check(),
        "anchor": anchor.find(),
        "query": request.GET.urlencode(),
    }
    return render(request, "audit/list.html", context)


@require_safe
def event(request: HttpRequest, pk: int) -> HttpResponse:
    """One event with all its data."""
    shown = reading.event_for(request.user, pk)
    return render(request, "audit/event.html", {"entry": reading.entry(shown), "event": shown})


@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """The filtered events as CSV, with their hashes. With invalid filters it redirects to the page, which shows the
    error."""
    chosen = AuditFilter(request.GET, events=reading.events_for(request.user))
    if not chosen.form.is_valid():
        return events(request)
    made = export_events(person(request.user), events=chosen.qs, filters=request.GET.dict())
    return CsvResponse(lambda: made, filename=f"audit-{timezone.now():%Y-%m-%d}.csv")  # type: ignore[return-value]


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Verifies the chain of events now."""
    reading.require_reader(request.user)
    if integrity.ask(person(request.user)) is None:
        messages.info(request, "The check has begun. It reads every event; this page says how far it is.")
    return redirect("audit:list")
