"""A redactor for every request: views, threads and streams of the request register the secret values that they read.
Every outgoing text goes through it, error pages and logs of errors included.

`redacted` wraps the whole ASGI application, so that it also covers Django's conversion of exceptions, streamed answers
and Sentry. The middleware `request_redactor` does the same where Django runs without it (WSGI, the test client).
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
    """A request ended by an error that Django did not turn into an answer. Its text quotes nothing of that error, because
    the server logs it unredacted."""


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
    """Runs the application. Returns the class name of the error that it raised, e.g. in the middle of a streamed answer,
    or an empty text."""
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
    """The outermost middleware: a redactor is in force for the request. It keeps the redactor of `redacted`, if any."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with redactor_in_force():
            return get_response(request)

    return middleware
