"""Middleware: request ids, the client's address, sign-in for every page, and errors that say what to do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import middleware as auth_middleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import render

from core.errors import Refused
from core.origin import Origin, new_request_id, set_origin
from core.redactor import redact_text
from engine.errors import SlipwayError

log = structlog.get_logger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
ID = re.compile(r"\A[A-Za-z0-9-]{8,64}\Z")


def request_id(get_response: GetResponse) -> GetResponse:
    """Gives each request an id (or keeps a well-formed one of the proxy), binds it to the log and returns it as a header."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if ID.match(given) else new_request_id()  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)  # type: ignore[attr-defined]
        response = get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response

    return middleware


def client_address(remote: str, forwarded_for: str, trusted: list[str]) -> str:
    """The caller's address: the last one in `X-Forwarded-For` that no proxy of ours added.

    `trusted`: addresses or networks of `TRUSTED_PROXIES`. A header from anybody else is ignored, it could say anything.
    """
    chain = [part.strip() for part in forwarded_for.split(",") if part.strip()] + [remote]
    for address in reversed(chain):
        if not is_trusted(address, trusted):
            return address
    return chain[0]


def is_trusted(address: str, trusted: list[str]) -> bool:
    """Whether `address` lies in one of the trusted networks; what is no address is not trusted."""
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
        address = client_address(
            request.META.get("REMOTE_ADDR", ""),
            request.headers.get("X-Forwarded-For", ""),
            settings.TRUSTED_PROXIES,
        )
        request.META["REMOTE_ADDR"] = address
        set_origin(Origin(request_id=request.request_id, address=address))  # type: ignore[attr-defined]
        return self.get_response(request)


class CompressedPages(GZipMiddleware):
    """Compresses pages of HTML, and nothing else.

    Compression can tell an attacker, who makes a browser ask again and again with words of his own in the address, what
    else stands on the page (BREACH). Here: the form token is masked anew in each answer, Django adds a random length, and
    pages that show a secret are left as they are: whatever no cache may keep (`Cache-Control: no-store`, `never_cache`).
    Streams must not be held back by it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        if "no-store" in response.get("Cache-Control", ""):
            return response
        return super().process_response(request, response)


class LoginRequiredMiddleware(auth_middleware.LoginRequiredMiddleware):
    """Every page needs a sign-in unless its view says otherwise; requests made by scripts get a 401, not a login page."""

    def handle_no_permission(  # type: ignore[override]  # not always a redirect
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        if request.headers.get("HX-Request") or "text/html" not in request.headers.get("Accept", "text/html"):
            response = JsonResponse({"title": "Your session has ended. Sign in again."}, status=401)
            response["HX-Redirect"] = settings.BASE_URL + "/login/"
            return response
        if request.method not in {"GET", "HEAD"}:
            return render(request, "session_ended.html", {"kept": kept_fields(request)}, status=401)
        return super().handle_no_permission(request, view_func)


# Never echoed into a page, not even to the browser that sent it.
NOT_KEPT = re.compile(r"csrf|password|kubeconfig|token|credential|secret|key|value", re.IGNORECASE)


def kept_fields(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields of a form that could not be accepted, to be sent again; only when our own page sent it.

    Secrets are left out: they have to be typed again. A form of another site is not kept at all, so that nobody can be
    made to confirm what he never filled in.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return []
    return [
        (name, value)
        for name, values in request.POST.lists()
        if not NOT_KEPT.search(name)
        for value in map(str, values)
    ]


class ErrorsMiddleware:
    """Turns our own errors into pages: what happened, what was not changed, what to do next."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """403 for a refusal, 502 for an outside system; everything else is Django's to handle."""
        if not isinstance(exception, SlipwayError):
            return None
        status = 403 if isinstance(exception, Refused) else 502
        log.info(
            "request not carried out", error=redact_text(exception.message), kind=type(exception).__name__
        )
        context = {
            "message": redact_text(exception.message),
            "hint": redact_text(exception.hint),
            "ask": getattr(exception, "ask", ""),
            "status": status,
        }
        return render(request, "problem.html", context, status=status)
