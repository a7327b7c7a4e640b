"""Django's error handlers. Each page says what happened, what was not changed and what to do next."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views import defaults

from core.again import late_form, take_along
from core.middleware import session_ended
from core.problems import Problem, accepts_document, document, wants_document
from core.unavailable import answer_without_database, trouble_of
from portal.shell import THEME_COOKIE, THEMES


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form whose token is not valid, e.g. because the person has signed in again since it was opened: its page,
    filled in as it was."""
    if wants_document(request):
        return document(problem(request, 403, "The form's token is not valid", code="form-token"))
    if not request.user.is_authenticated:
        return session_ended(request)
    late = late_form(request)
    if text := late.sealed():
        take_along(request, text)
        return redirect(late.page)
    context = {"kept": late.kept, "page": late.page, "signed_in": True}
    return render(request, "session_ended.html", context, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer for an address without a page, or whose page this person may not know of."""
    if wants_document(request):
        return document(problem(request, 404, "There is nothing at this address", code="not-found"))
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The answer to an invalid request: a wrong host, too many fields, a damaged upload."""
    if wants_document(request):
        return document(problem(request, 400, "The request makes no sense", code="bad-request"))
    return plain_page(request, "400.html", status=400)


def too_many(request: HttpRequest) -> HttpResponse:
    """The answer after too many tries: of a password, a code, or a form that takes them."""
    if wants_document(request):
        return document(problem(request, 429, "Too many tries", code="too-many-tries"))
    return plain_page(request, "429.html", status=429)


def too_large(accepted: str) -> HttpResponse:
    """The answer to a body that is longer than its address takes. `accepted`: the types that the caller takes. Nothing of the
    request was read."""
    if accepts_document(accepted):
        return document(Problem(413, "More was sent than this address takes", code="too-large"))
    return HttpResponse(render_to_string("413.html", {"theme": ""}), status=413)


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer after an unexpected error. The page shows the request's id, under which the log has the traceback. A database
    that is busy or away where no view was reached (sessions) is no mistake of the portal."""
    if trouble := trouble_of(sys.exception(), request.method or ""):
        return answer_without_database(request, trouble, request_id=reference(request))
    if wants_document(request):
        return document(problem(request, 500, "The portal made a mistake", code="failed"))
    return plain_page(request, "500.html", status=500)


def problem(request: HttpRequest, status: int, title: str, *, code: str) -> Problem:
    """A Problem without detail, with the request's id."""
    return Problem(status, title, code=code, request_id=reference(request))


def reference(request: HttpRequest) -> str:
    """The request's id, or empty when it has none yet."""
    return getattr(request, "request_id", "")


def plain_page(request: HttpRequest, template: str, *, status: int) -> HttpResponse:
    """A page without user, database and context processors: after an error each of them may be broken."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    context = {
        "request_id": reference(request),
        "theme": theme if theme in THEMES else "",
    }
    return HttpResponse(render_to_string(template, context), status=status)
