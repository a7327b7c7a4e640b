"""Renders the pages of the style guide (and the pages of errors and sign-in) as a small static site for a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import django_htmx
from django.contrib.auth.models import AnonymousUser
from django.template import engines
from django.test import RequestFactory

from core.kept import Kept
from tests.ui import samples

HERE = Path(__file__).parent
REPO = HERE.parent.parent
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Person:
    """What the pages read of a user."""

    is_admin: bool = False
    is_auditor: bool = False
    pk: int = 1
    is_authenticated: bool = True

    def __str__(self) -> str:
        return "mira"


ADMIN, DEVELOPER, AUDITOR = Person(is_admin=True), Person(), Person(is_auditor=True)
NOBODY = AnonymousUser()

# What answers an address: a page, or a function that writes to the connection itself (a stream).
Answer = str | Callable[["Handler"], None]


def request(path: str = "/deploys/", *, user: Any = ADMIN, theme: str = "") -> Any:
    """A request as the middleware leaves it."""
    made = RequestFactory().get(path)
    made.user = user
    made.request_id = "7c2e41d09b"
    if theme:
        made.COOKIES["theme"] = theme
    return made


def render(text: str, *, user: Any = ADMIN, theme: str = "", **more: Any) -> str:
    """A template given as text, with the sample data and what the context processors add; there is no database to count what
    waits."""
    template = engines["django"].from_string(text)
    with mock.patch("portal.navigation._counted", lambda entry, user: entry):
        return template.render({**samples.context(), **more}, request(user=user, theme=theme))


def page(name: str, **kwargs: Any) -> str:
    """A page of the style guide (`pages/`), or a template of the portal that needs little context."""
    own = HERE / "pages" / f"{name}.html"
    text = own.read_text() if own.exists() else f'{{% extends "{name}.html" %}}'
    return render(text, **kwargs)


def pages() -> dict[str, Answer]:
    """Name → HTML of everything a browser looks at."""
    kept = Kept((("note", "typed"),))
    return {
        "": page("404"),  # where the links to the board lead
        "guide": page("guide"),
        "form_wrong": page("form_wrong"),
        "stranger": page("404", user=NOBODY, exception="", banners=[]),
        "404": page("404", exception="There is no deploy #1948"),
        "403": page("403", exception="You may not deploy to landing-cms production", ask="mira, lead"),
        "400": page("400"),
        "500": page("500"),
        "problem": page(
            "problem", message="The cluster apps-lon1 did not answer.", hint="Try again.", status=502
        ),
        "session_ended": page("session_ended", kept=kept, page="/projects/new/", signed_in=False),
    }


class Handler(SimpleHTTPRequestHandler):
    """Pages by name, static files as the portal serves them, everything under the portal's content policy."""

    site: dict[str, Answer]

    def do_GET(self) -> None:
        if self.path.startswith("/static/"):
            return super().do_GET()
        answer = self.site.get(self.path.strip("/").partition("?")[0], "")
        if callable(answer):
            return answer(self)
        return self.answer(answer, status=200 if answer else 404)

    def answer(self, body: str, *, content_type: str = "text/html", status: int = 200) -> None:
        """One whole answer."""
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", CSP)
        super().end_headers()

    def translate_path(self, path: str) -> str:
        relative = path.partition("?")[0].removeprefix("/static/")
        package = Path(django_htmx.__file__).parent / "static" / relative
        return str(package if relative.startswith("django_htmx/") else REPO / "static" / relative)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextmanager
def serve(site: dict[str, Answer]) -> Iterator[str]:
    """The site on a free port of 127.0.0.1; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
