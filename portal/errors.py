"""Answers that Django asks for by name: each says what happened, what was not changed and what to do next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults

from core.kept import kept_form
from core.problems import Problem, document, wants_document
from portal.shell import THEME_COOKIE, THEMES


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose token is not (or no longer) good, e.g. opened before signing in again: it can be sent once more."""
    if wants_document(request):
        return document(problem(request, 403, "The form's token is not valid", code="form-token"))
    return render(request, "session_ended.html", {"kept": kept_form(request), "signed_in": True}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Nothing is at this address, or nothing that this person may know of."""
    if wants_document(request):
        return document(problem(request, 404, "There is nothing at this address", code="not-found"))
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What makes no sense: a wrong host, too many fields, a damaged upload."""
    if wants_document(request):
        return document(problem(request, 400, "The request makes no sense", code="bad-request"))
    return plain_page(request, "400.html", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """A mistake of the portal. The reference on the page is the request's id, which the log has beside the traceback."""
    if wants_document(request):
        return document(problem(request, 500, "The portal made a mistake", code="failed"))
    return plain_page(request, "500.html", status=500)


def problem(request: HttpRequest, status: int, title: str, *, code: str) -> Problem:
    """What is wrong with a request in itself, with the request's reference."""
    return Problem(status, title, code=code, request_id=reference(request))


def reference(request: HttpRequest) -> str:
    """The request's id, if it has got one yet."""
    return getattr(request, "request_id", "")


def plain_page(request: HttpRequest, template: str, *, status: int) -> HttpResponse:
    """A page that needs nothing that may be broken just now: no user, no database, no context processors."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    context = {
        "request_id": reference(request),
        "theme": theme if theme in THEMES else "",
    }
    return HttpResponse(render_to_string(template, context), status=status)
