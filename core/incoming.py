"""Limits on requests: the length of a body, before any of it is read or stored, and characters that no database takes.

A view that takes more than LONGEST_BODY, such as a file, is marked with `@takes_files`; it may be sent as much as the server
keeps in memory (FILE_UPLOAD_MAX_MEMORY_SIZE).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import resolve

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]
View = TypeVar("View", bound=Callable[..., Any])
NUL = "\x00"


class BodyTooLong(Exception):
    """More was sent than the address takes."""


def takes_files(view: View) -> View:
    """Marks a view that takes files or long texts. Its place among the view's decorators does not matter."""
    view.takes_files = True  # type: ignore[attr-defined]
    return view


def longest_body(path: str) -> int:
    """The most bytes that a request to this path may send."""
    try:
        view = resolve(path).func
    except Http404:
        return int(settings.LONGEST_BODY)
    long = getattr(view, "takes_files", False)
    return int(settings.FILE_UPLOAD_MAX_MEMORY_SIZE if long else settings.LONGEST_BODY)


def bounded(application: Application, refuse: Callable[[str], HttpResponse]) -> Application:
    """The ASGI application, which answers `refuse(accepted types)` to a body that is too long. It must be inside of
    `redacted`. A body without a declared length is counted while it comes."""

    async def with_limit(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await application(scope, receive, send)
        headers = {name.lower(): value for name, value in scope["headers"]}
        limit = longest_body(scope["path"])
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            return await _answer(refuse, headers, send)
        try:
            await application(scope, _counted(receive, limit), send)
        except BodyTooLong:
            await _answer(refuse, headers, send)
        return None

    return with_limit


def _counted(receive: Any, limit: int) -> Any:
    """`receive`, which raises BodyTooLong beyond `limit`. Django reads the whole body before it answers anything."""
    size = 0

    async def receiving() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise BodyTooLong
        return message

    return receiving


async def _answer(refuse: Callable[[str], HttpResponse], headers: dict[bytes, bytes], send: Any) -> None:
    """Sends the refusal and asks the server to close the connection, so that it does not read the rest."""
    response = refuse(headers.get(b"accept", b"").decode("latin-1"))
    fields = [(name.encode(), value.encode("latin-1")) for name, value in response.items()]
    start = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": [*fields, (b"connection", b"close")],
    }
    await send(start)
    await send({"type": "http.response.body", "body": response.content})


class NoNulCharacters:
    """Answers 400 to a NUL in path, query, cookies or form: no address or name contains one, and PostgreSQL refuses it with an
    error. Files may contain anything."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        refuse_nul((request.path_info, *request.COOKIES.values()))
        refuse_nul(texts_of(request.GET))
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: Any) -> None:
        """The form, at the moment when CsrfViewMiddleware reads it, too. Views that take files or values say themselves what a
        value may hold, and store none as it is."""
        if request.method == "POST" and not getattr(view, "takes_files", False):
            refuse_nul(texts_of(request.POST))


def texts_of(parameters: Any) -> Iterable[str]:
    """Names and values of a query or a form."""
    for name, values in parameters.lists():
        yield name
        yield from (str(value) for value in values)


def refuse_nul(texts: Iterable[str]) -> None:
    """Raises BadRequest when one of the texts contains NUL."""
    if any(NUL in text for text in texts):
        raise BadRequest("The request contains a NUL character.")
