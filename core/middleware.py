"""Middleware: request ids, the client's address, sign-in for every page, and errors that say what to do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import middleware as auth_middleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import render
from django.utils.cache import patch_cache_control

from core import committed
from core.again import late_form
from core.origin import Origin, new_request_id, set_origin
from core.problems import Problem, answer, document, problem_of
from core.unavailable import answer_without_database, trouble_of
from engine.errors import SlipwayError

log = structlog.get_logger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
SESSION_ENDED = "Your session has ended. Sign in again."
ID = re.compile(r"\A[A-Za-z0-9-]{8,64}\Z")


def request_id(get_response: GetResponse) -> GetResponse:
    """Gives each request an id, or keeps a well-formed one of a trusted proxy: it enters the audit, where a caller's own choice
    would make two requests look like one. Binds it to the log and sends it as a header. Comes before the address is replaced.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        from_proxy = is_trusted(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES)
        given = request.headers.get("X-Request-ID", "") if from_proxy else ""
        request.request_id = given if ID.match(given) else new_request_id()  # type: ignore[attr-defined]
        committed.begin()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        response = get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response

    return middleware


def client_address(remote: str, forwarded_for: str, trusted: list[str]) -> str:
    """The caller's address: the last one in `X-Forwarded-For` that is not one of our proxies.

    `trusted`: addresses or networks of `TRUSTED_PROXIES`. A header from any other address is ignored: it may be forged.
    """
    chain = [part.strip() for part in forwarded_for.split(",") if part.strip()] + [remote]
    for address in reversed(chain):
        if not is_trusted(address, trusted):
            return address
    return chain[0]


def is_trusted(address: str, trusted: list[str]) -> bool:
    """Whether `address` lies in one of the trusted networks. A text that is not an address is not trusted."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in ipaddress.ip_network(network, strict=False) for network in trusted)


class ClientAddressMiddleware:
    """Puts the caller's real address into REMOTE_ADDR (sign-in throttling reads it) and makes it the audit's origin."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        remote = request.META.get("REMOTE_ADDR", "")
        if not is_trusted(remote, settings.TRUSTED_PROXIES):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)  # Django would believe it of anybody
        address = client_address(
            remote,
            request.headers.get("X-Forwarded-For", ""),
            settings.TRUSTED_PROXIES,
        )
        request.META["REMOTE_ADDR"] = address
        set_origin(Origin(request_id=request.request_id, address=address))  # type: ignore[attr-defined]
        return self.get_response(request)


def kept_by_nobody(get_response: GetResponse) -> GetResponse:
    """Tells browsers and proxies to keep no page: signed-in people's pages may not be shown to the next person at a shared
    machine. Static files never reach the session and stay as they are. Comes outside of CompressedPages, which reads the header
    as the mark of a page that shows a secret.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if hasattr(request, "session"):
            patch_cache_control(response, no_store=True, private=True)
        return response

    return middleware


class CompressedPages(GZipMiddleware):
    """Compresses pages of HTML, and nothing else.

    Compression can leak page content to an attacker who can repeat requests with chosen input (BREACH). Three measures
    prevent it: Django masks the form token anew in each answer, Django adds a random length, and pages that show a secret
    (`Cache-Control: no-store`, `never_cache`) are not compressed. Streams are not compressed, because that would delay them.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        if "no-store" in response.get("Cache-Control", ""):
            return response
        return super().process_response(request, response)


class LoginRequiredMiddleware(auth_middleware.LoginRequiredMiddleware):
    """Every page needs a sign-in unless its view says otherwise. A request by a script gets a 401, not a login page."""

    def handle_no_permission(  # type: ignore[override]  # not always a redirect
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        if request.headers.get("HX-Request") or "text/html" not in request.headers.get("Accept", "text/html"):
            response = document(Problem(401, SESSION_ENDED, code="session-ended", request_id=id_of(request)))
            response["HX-Redirect"] = settings.BASE_URL + "/login/"
            return response
        if request.method not in {"GET", "HEAD"}:
            return session_ended(request)
        return super().handle_no_permission(request, view_func)


def session_ended(request: HttpRequest) -> HttpResponse:
    """The answer to a form that comes after the session has ended: it asks to sign in, and takes along what was typed."""
    late = late_form(request)
    context = {"kept": late.kept, "page": late.page, "late": late.sealed(), "signed_in": False}
    return render(request, "session_ended.html", context, status=401)


class ErrorsMiddleware:
    """Turns our own errors into answers: what happened, what was not changed, what to do next."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        return with_page(request, response) if isinstance(response, HttpResponseNotAllowed) else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer to one of our errors, or to a database that is busy or away. Returns None for any other exception, which
        Django then handles."""
        if trouble := trouble_of(exception, request.method or ""):
            log.warning(
                "the database was busy or away", error=type(exception.__cause__ or exception).__name__
            )
            return answer_without_database(request, trouble, request_id=id_of(request))
        if not isinstance(exception, SlipwayError):
            return None
        problem = problem_of(exception, request_id=id_of(request))
        log.info(
            "request not carried out",
            error=problem.detail,
            kind=type(exception).__name__,
            status=problem.status,
            code=problem.code,
        )
        return answer(request, problem)


def with_page(request: HttpRequest, refused: HttpResponse) -> HttpResponse:
    """Django's answer to a method that an address does not take, which is empty, with a page or a problem document."""
    taken = refused["Allow"]
    problem = Problem(
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        title=HTTPStatus.METHOD_NOT_ALLOWED.phrase,
        detail=f"This address takes no {request.method} request, only {taken}.",
        hint="Go back, and use the buttons of the page.",
        code="method",
        request_id=id_of(request),
    )
    found = answer(request, problem)
    found["Allow"] = taken
    return found


def id_of(request: HttpRequest) -> str:
    """The request's id; empty when the request did not pass the middleware that gives it."""
    return getattr(request, "request_id", "")
