"""Errors over HTTP: one `Problem`, answered as a page or as a problem document (RFC 9457).

`problem_of` is the only function that turns an error into an answer's status and texts, so that pages and scripts get
the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from core.errors import status_of
from core.redactor import redact_text
from engine.errors import SlipwayError

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """`detail`: the event, and what was left unchanged. `hint`: what to do next. `ask`: people who can help.

    `status` (HTTP) and `code` are for scripts; `title` names the kind of problem; `request_id` finds it in the log.
    """

    status: int
    title: str
    detail: str = ""
    hint: str = ""
    code: str = ""
    ask: str = ""
    request_id: str = ""

    def as_json(self) -> dict[str, str | int]:
        """The members of the problem document; those without a text are left out."""
        members: dict[str, str | int] = {
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
            "ask": self.ask,
            "request_id": self.request_id,
        }
        return {name: value for name, value in members.items() if value != ""}


def problem_of(error: SlipwayError, *, request_id: str = "") -> Problem:
    """Describes an error as a Problem. Its texts have gone through the redactor."""
    status = status_of(error)
    return Problem(
        status=status,
        title=HTTPStatus(status).phrase,
        detail=redact_text(error.message),
        hint=redact_text(error.hint),
        code=error.code,
        ask=redact_text(getattr(error, "ask", "")),
        request_id=request_id,
    )


def wants_document(request: HttpRequest) -> bool:
    """Whether the caller is a script that takes JSON, and not a browser that shows pages."""
    return accepts_document(request.headers.get("Accept", ""))


def accepts_document(accepted: str) -> bool:
    """The same by the header `Accept` alone."""
    return PROBLEM_JSON in accepted or ("application/json" in accepted and "text/html" not in accepted)


def document(problem: Problem) -> JsonResponse:
    """The problem document as an answer."""
    return JsonResponse(problem.as_json(), status=problem.status, content_type=PROBLEM_JSON)


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The problem as an answer: a document for scripts, a page for people."""
    if wants_document(request):
        return document(problem)
    context = {
        "message": problem.detail,
        "hint": problem.hint,
        "ask": problem.ask,
        "status": problem.status,
    }
    return render(request, "problem.html", context, status=problem.status)
