"""No request waits long for AWS, however many secrets it reads."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from adapters.aws.waiting import waiting_at_most

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def bounded_waiting(get_response: GetResponse) -> GetResponse:
    """Middleware: limits the time that all reads of secrets of a request take together."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with waiting_at_most():
            return get_response(request)

    return middleware
