"""Each request has a redactor: a view that reads a secret and breaks shows and logs nothing of it, nor does a stream."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path
from structlog.stdlib import ProcessorFormatter

from adapters.errors import Unavailable
from core.redaction import RequestBroke, redacted, request_redactor
from core.redactor import MASK, current
from core.secret_values import register
from core.sentry import redact_report
from core.streamed import StreamedText
from portal.asgi import application

pytestmark = pytest.mark.django_db
CANARY = "canary-of-a-request-d0"


@login_not_required
def breaks(request: HttpRequest) -> HttpResponseBase:
    """Reads a value and fails with it, in a way nobody thought of."""
    register([CANARY])
    raise ValueError(f"invalid literal: {CANARY}")


@login_not_required
def refused(request: HttpRequest) -> HttpResponseBase:
    """Fails with an error of our own that quotes a value."""
    register([CANARY])
    raise Unavailable(f"It said {CANARY}.", system="AWS", hint=f"Look at {CANARY}.")


@login_not_required
async def breaks_async(request: HttpRequest) -> HttpResponseBase:
    register([CANARY])
    raise ValueError(f"invalid literal: {CANARY}")


@login_not_required
def streams(request: HttpRequest) -> HttpResponseBase:
    """Breaks in the middle of a long answer, where Django has nothing to say any more."""

    def parts() -> Any:
        yield "first"
        register([CANARY])
        raise ValueError(f"invalid literal: {CANARY}")

    return StreamedText(parts())


@login_not_required
async def streams_async(request: HttpRequest) -> HttpResponseBase:
    async def parts() -> AsyncIterator[str]:
        yield "first"
        register([CANARY])
        raise ValueError(f"invalid literal: {CANARY}")

    return StreamingHttpResponse(parts())


handler500 = "portal.errors.server_error"
urlpatterns = [
    path("breaks/", breaks),
    path("refused/", refused),
    path("breaks-async/", breaks_async),
    path("streams/", streams),
    path("streams-async/", streams_async),
    path("", include("portal.urls")),  # pages of errors link to them
]


async def asked(address: str) -> tuple[int, bytes, str]:
    """Status, body, and the error that the server would log, of a request to the portal as the server runs it."""
    scope = {
        "type": "http", "method": "GET", "path": address, "query_string": b"", "http_version": "1.1",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"text/html")], "client": ("127.0.0.1", 1), "scheme": "http",
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    request: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if request:
            return request.pop()
        await asyncio.sleep(60)  # the visitor stays
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raised = ""
    try:
        await application(scope, receive, send)
    except Exception as error:  # noqa: BLE001  # whatever it is, the server logs it
        raised = f"{error!r} {error.__cause__!r} {error.__context__!r}"
    status = next(message["status"] for message in sent if "status" in message)
    return status, b"".join(message.get("body", b"") for message in sent), raised


def ask(address: str) -> tuple[int, bytes, str]:
    """The same, from a test that is not async."""
    return asyncio.run(asked(address))


@pytest.fixture
def written() -> Iterator[list[str]]:
    """Every line as the portal's own handler writes it, at the moment it is written; read back from JSON."""
    own = next(h for h in logging.getLogger().handlers if isinstance(h.formatter, ProcessorFormatter))
    handler = logging.Handler()
    handler.setFormatter(own.formatter)
    lines: list[str] = []
    handler.emit = lambda record: lines.append(repr(json.loads(handler.format(record))))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("address", "status"), [("/breaks/", 500), ("/breaks-async/", 500), ("/refused/", 502)]
)
@pytest.mark.parametrize("through", ["the server", "the test client"])
def test_a_request_that_reads_a_secret_and_breaks_shows_and_logs_nothing(
    written: list[str], client: Client, address: str, status: int, through: str
) -> None:
    if through == "the server":
        found, body, raised = ask(address)
    else:
        client.raise_request_exception = False
        answer = client.get(address, headers={"accept": "text/html"})
        found, body, raised = answer.status_code, answer.content, ""
    assert (found, raised) == (status, "")
    assert CANARY.encode() not in body
    assert MASK.encode() in body or status == 500
    assert written
    assert CANARY not in "".join(written)


@pytest.mark.urls(__name__)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Django leaves the request's body open
@pytest.mark.parametrize("address", ["/streams/", "/streams-async/"])
def test_a_stream_that_breaks_tells_the_server_nothing(written: list[str], address: str) -> None:
    status, body, raised = ask(address)
    gc.collect()  # here, where its warning is expected
    assert (status, body) == (200, b"first")
    assert "RequestBroke" in raised
    assert "ValueError" in raised
    assert CANARY not in raised
    assert MASK in "".join(written)
    assert CANARY not in "".join(written)


def test_what_sentry_is_told_of_a_request(rf: RequestFactory) -> None:
    """Its `before_send` runs inside of the request."""

    def view(request: HttpRequest) -> HttpResponse:
        register([CANARY])
        return HttpResponse(redact_report({"message": f"it was {CANARY}"}, {})["message"])

    assert request_redactor(view)(rf.get("/")).getvalue().decode() == f"it was {MASK}"
    assert current() is None


def test_requests_do_not_know_each_others_values(rf: RequestFactory) -> None:
    seen: list[Any] = []
    view: Callable[[HttpRequest], HttpResponseBase] = lambda request: seen.append(current()) or HttpResponse()  # noqa: E731
    request_redactor(view)(rf.get("/"))
    request_redactor(view)(rf.get("/"))
    assert len(set(map(id, seen))) == 2


def test_the_middleware_keeps_the_redactor_of_the_server() -> None:
    seen: list[Any] = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current())
        request_redactor(lambda request: seen.append(current()) or HttpResponse())(RequestFactory().get("/"))

    asyncio.run(redacted(django)({"type": "http"}, None, None))
    assert seen[0] is seen[1] is not None


def test_what_is_no_request_is_passed_on() -> None:
    """The server asks at its start whether there is something to begin; Django says no by an exception."""

    async def declines(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no lifespan")

    with pytest.raises(ValueError, match="no lifespan"):
        asyncio.run(redacted(declines)({"type": "lifespan"}, None, None))
    with pytest.raises(RequestBroke):
        asyncio.run(redacted(declines)({"type": "http"}, None, None))
