"""Error pages that Django asks for by name: each says what happened, what was not changed and what to do next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from core.middleware import kept_fields


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose token is not (or no longer) good, e.g. opened before signing in again: it can be sent once more."""
    return render(
        request, "session_ended.html", {"kept": kept_fields(request), "signed_in": True}, status=403
    )
