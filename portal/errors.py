"""Error pages that Django asks for by name: each says what happened, what was not changed and what to do next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from core.middleware import kept_fields
from portal.shell import THEME_COOKIE, THEMES


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose token is not (or no longer) good, e.g. opened before signing in again: it can be sent once more."""
    return render(
        request, "session_ended.html", {"kept": kept_fields(request), "signed_in": True}, status=403
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What makes no sense: a wrong host, too many fields, a damaged upload."""
    return plain_page(request, "400.html", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """A mistake of the portal. The reference on the page is the request's id, which the log has beside the traceback."""
    return plain_page(request, "500.html", status=500)


def plain_page(request: HttpRequest, template: str, *, status: int) -> HttpResponse:
    """A page that needs nothing that may be broken just now: no user, no database, no context processors."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    context = {
        "request_id": getattr(request, "request_id", ""),
        "theme": theme if theme in THEMES else "",
    }
    return HttpResponse(render_to_string(template, context), status=status)
