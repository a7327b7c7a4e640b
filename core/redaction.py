"""A redactor for every request: whatever reads a secret on its behalf, in a view, a thread or a stream, registers the value
there, and every text that leaves goes through it, error pages and logs of errors included.

`redacted` goes around the whole ASGI application, so that Django's conversion of exceptions, long answers and Sentry lie
inside. The middleware does the same, first of all, where Django is run by something else (WSGI, the test client).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.redactor import redactor_in_force

log = structlog.get_logger(__name__)
Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class RequestBroke(Exception):
    """A request ended by an error that Django did not turn into an answer. Quotes nothing: the server logs it as it is."""


def redacted(application: Application) -> Application:
    """The ASGI application with a redactor in force for each request."""

    async def with_redactor(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":  # the server's own start and end, which Django declines by an exception
            return await application(scope, receive, send)
        with redactor_in_force():
            broke = await error_of(application, scope, receive, send)
        if broke:  # outside of the handler, so that the error itself does not hang on this one as its context
            raise RequestBroke(f"The request broke off ({broke}); the log has the details.")
        return None

    return with_redactor


async def error_of(application: Application, scope: Scope, receive: Any, send: Any) -> str:
    """Runs the application; the class of the error that it let out, e.g. in the middle of a long answer, or nothing."""
    try:
        await application(scope, receive, send)
    except (
        Exception
    ) as error:  # the edge of the request: the server would log the traceback where no redactor is
        log.exception("a request broke off", path=scope.get("path", ""))
        return type(error).__name__
    return ""


def request_redactor(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, the outermost one: a redactor is in force for the request, the one of `redacted` if there is one."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with redactor_in_force():
            return get_response(request)

    return middleware
