"""HTTP to one API server, through the official client: time limits, repeats, errors. It knows Kubernetes' status codes, but
no objects.

Importing this module loads the official client: 0.15 s and 23 MB. `client.py` does so with the first connection, and
workers before they fork (`settings.WORKER_PRELOAD`); a web process that never talks to a cluster does not load it.

Requests go through the `rest_client` of the official client's `ApiClient` as raw JSON (`official.py` sets it up); a few
rare calls are typed. This module adds what the official client lacks: repeats of PATCH, a time limit on everything, keys
without files, errors in our own words, streams that another thread can close.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

from kubernetes.client import ApiClient, ApiException
from kubernetes.client.rest import RESTResponse
from urllib3.exceptions import HTTPError

from adapters.kubernetes import official
from adapters.kubernetes.config import Connection, tls_context
from adapters.kubernetes.errors import (
    KubernetesInvalid,
    not_understood,
    refused,
    status_message,
    unreachable,
)
from adapters.kubernetes.limits import CONNECT_TIMEOUT, READ_TIMEOUT, RetryPolicy
from adapters.kubernetes.notices import warnings_of
from adapters.kubernetes.stream import HttpStream
from engine.cluster.client import APPLY, JSON_PATCH, before_write

STREAM_TIMEOUT = (
    30.0  # silence on a watch after which it is opened anew: a half-open connection looks just like silence
)
T = TypeVar("T")


class Received(NamedTuple):
    """A successful answer: HTTP status, body, and the texts of its warnings."""

    status: int
    data: bytes
    warnings: tuple[str, ...]


class Transport:
    """Requests to one API server. Thread-safe. After a fork the child opens connections of its own."""

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str,
        retry: RetryPolicy,
        timeout: float = READ_TIMEOUT,
    ) -> None:
        """`timeout`: seconds for an answer, unless a request has its own."""
        self.server = connection.facts.server
        self._connection = connection
        self._context = tls_context(connection) if urlsplit(self.server).scheme == "https" else None
        self._retry = retry
        self._timeout = timeout
        self._headers = {"User-Agent": user_agent}
        if connection.token:
            self._headers["Authorization"] = f"Bearer {connection.token}"
        self._lock = threading.Lock()
        self._api = official.api_client(connection, self._context, user_agent=user_agent)
        self._pid = os.getpid()

    def close(self) -> None:
        """Closes every idle connection. The transport can be used again."""
        self._api.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        accept: str,
        timeout: float | None,
    ) -> Received:
        """A successful answer. Raises a KubernetesError, and what `before_write` raises."""
        headers = {**self._headers, "Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        if content_type == JSON_PATCH and not isinstance(body, list):
            # The official client would send it as a strategic merge.
            raise ValueError("a JSON patch is a list")
        url = self._url(path, query)
        limit = timeout or self._timeout
        if method in ("GET", "DELETE") or content_type == APPLY:  # the second time changes nothing
            return self._retry.repeated(lambda: self._once(method, url, headers, body, limit))
        return self._once(method, url, headers, body, limit)

    def stream(self, path: str, *, query: Mapping[str, str] | None, accept: str, events: bool) -> HttpStream:
        """An answer that is read as it arrives. Raises a KubernetesError when it is refused; never repeated."""
        headers = {**self._headers, "Accept": accept}
        response = self._exchange("GET", self._url(path, query), headers, None, STREAM_TIMEOUT).response
        if response.status >= 300:
            data = status_message(response)
            response.close()
            raise refused(self.server, response.status, response.headers, data)
        return HttpStream(response, self.server, events=events)

    def version(self, timeout: float) -> tuple[str, str]:
        """The server's version, such as `v1.32.1`, and its platform. Raises a KubernetesError."""
        limits = (CONNECT_TIMEOUT, timeout)
        return self._retry.repeated(lambda: self._typed(lambda api: official.version(api, limits)))

    def allowed(self, verb: str, group: str, resource: str, namespace: str, timeout: float) -> bool:
        """Whether the account has this right; an empty namespace means all. Raises a KubernetesError; never repeated."""
        limits = (CONNECT_TIMEOUT, timeout)
        return self._typed(
            lambda api: official.allowed(
                api, limits, verb=verb, group=group, resource=resource, namespace=namespace
            )
        )

    def _once(self, method: str, url: str, headers: dict[str, str], body: Any, timeout: float) -> Received:
        make_sure = before_write.get()
        if make_sure is not None and method != "GET":
            make_sure()
        response = self._exchange(method, url, headers, body, timeout)
        try:
            data = response.read()
        except (HTTPError, OSError) as error:
            raise unreachable(self.server, error) from error
        if response.status >= 300:
            raise refused(self.server, response.status, response.headers, data)
        return Received(response.status, data, warnings_of(response.response.headers.getlist("Warning")))

    def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: Any, timeout: float
    ) -> RESTResponse:
        """Sends one request; does not read the answer. The body is an object, because the official client makes the JSON and
        ignores bytes for most content types."""
        try:
            return self._client().rest_client.request(
                method, url, headers, body=body, _request_timeout=(CONNECT_TIMEOUT, timeout)
            )
        except ApiException:  # a content type and a body that do not go together; nothing was sent
            text = f"The request to the cluster at {self.server} has a form that cannot be sent."
            raise KubernetesInvalid(text) from None
        except (HTTPError, OSError) as error:
            raise unreachable(self.server, error) from error

    def _typed(self, ask: Callable[[ApiClient], T]) -> T:
        """The result of a typed call. Our error is raised outside of the `except`, because the official client's error
        holds the answer's body, which must not appear in a traceback."""
        try:
            return ask(self._client())
        except (HTTPError, OSError) as error:
            failure = unreachable(self.server, error)
        except ApiException as error:
            failure = official.refusal(self.server, error)
        except (ValueError, TypeError):  # no JSON, or JSON that lacks what the type asks for
            failure = not_understood(self.server)
        raise failure

    def _client(self) -> ApiClient:
        if self._pid != os.getpid():
            with self._lock:
                self._api.rest_client.pool_manager = official.pool_manager(
                    self._context, self._connection.server_name
                )
                self._pid = os.getpid()
        return self._api

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
