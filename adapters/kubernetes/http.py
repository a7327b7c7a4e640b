"""HTTP to one API server: connection pools, timeouts, repeats. Knows Kubernetes' status codes, but no
objects.

urllib3 is used directly, not through the official client's `RESTClientObject`: that one needs client
certificates as files for as long as it lives, builds a TLS context (and reads those files) for every
connection, follows the proxy variables of the environment, and repeats neither PATCH nor POST. Nothing of it
but urllib3 would be left, and its import costs half a second.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from adapters.kubernetes.config import Connection, tls_context
from adapters.kubernetes.errors import KubernetesError, refused, status_message, unreachable
from adapters.kubernetes.stream import HttpStream
from engine.cluster.client import APPLY

POOL_SIZE = 32
CONNECT_TIMEOUT = 3.05
READ_TIMEOUT = 30.0
STREAM_TIMEOUT = (
    30.0  # silence on a watch after which it is opened anew: a half-open connection looks just like silence
)

_KEEP_ALIVE = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a repeatable request is repeated. Times in seconds."""

    attempts: int = 5
    budget: float = 20.0  # no repeat is started that would end after this, counted from the first try
    base: float = 0.2  # doubled each time, with jitter
    cap: float = 5.0
    longest_wait: float = 10.0  # of a Retry-After; a longer one is told to the caller instead

    def wait_before(self, attempt: int, error: KubernetesError) -> float:
        """Seconds before try number `attempt` + 1 (from 1). Jitter keeps 32 threads from coming back at once."""
        backoff = min(self.cap, self.base * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(backoff, error.retry_after or 0.0)


class _Plain(HTTPConnection):
    """A connection that cannot be made to print what it sends: `http.client`'s debug output holds tokens and
    bodies."""

    debuglevel = 0

    def set_debuglevel(self, level: int) -> None:
        return


class _Secure(HTTPSConnection):
    """As `_Plain`, with TLS."""

    debuglevel = 0

    def set_debuglevel(self, level: int) -> None:
        return


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


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
        """`timeout`: seconds for an answer, where a request asks for no other."""
        self.server = connection.facts.server
        self._parts = urlsplit(self.server)
        self._connection = connection
        self._context = tls_context(connection) if self._parts.scheme == "https" else None
        self._retry = retry
        self._timeout = timeout
        self._headers = {"User-Agent": user_agent}
        if connection.token:
            self._headers["Authorization"] = f"Bearer {connection.token}"
        self._lock = threading.Lock()
        self._open_pools()

    def close(self) -> None:
        """Close every idle connection. The transport can be used again."""
        self._requests.close()
        self._streams.close()

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
    ) -> tuple[int, bytes]:
        """Status and body of a successful answer. Raises a KubernetesError."""
        headers = {**self._headers, "Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        url = self._url(path, query)
        repeatable = method in ("GET", "DELETE") or content_type == APPLY
        return self._repeated(method, url, headers, data, timeout or self._timeout, repeatable)

    def stream(self, path: str, *, query: Mapping[str, str] | None, accept: str, events: bool) -> HttpStream:
        """An answer that is read as it comes. Raises a KubernetesError when it is refused; not repeated."""
        response = self._exchange(
            "GET",
            self._url(path, query),
            {**self._headers, "Accept": accept},
            None,
            STREAM_TIMEOUT,
            stream=True,
        )
        if response.status >= 300:
            data = status_message(response)
            response.close()
            raise refused(self.server, response.status, response.headers, data)
        return HttpStream(response, self.server, events=events)

    def _repeated(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | None,
        timeout: float,
        repeatable: bool,
    ) -> tuple[int, bytes]:
        started = time.monotonic()
        attempt = 1
        while True:
            try:
                return self._once(method, url, headers, data, timeout)
            except KubernetesError as error:
                wait = self._retry.wait_before(attempt, error)
                late = time.monotonic() - started + wait > self._retry.budget
                last = attempt >= self._retry.attempts or late or wait > self._retry.longest_wait
                if last or not repeatable or not _may_help(error):
                    raise
            time.sleep(wait)
            attempt += 1

    def _once(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None, timeout: float
    ) -> tuple[int, bytes]:
        response = self._exchange(method, url, headers, data, timeout, stream=False)
        if response.status >= 300:
            raise refused(self.server, response.status, response.headers, response.data)
        return response.status, response.data

    def _exchange(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | None,
        timeout: float,
        *,
        stream: bool,
    ) -> urllib3.BaseHTTPResponse:
        if self._pid != os.getpid():
            self._open_pools()
        pool = self._streams if stream else self._requests
        try:
            return pool.urlopen(
                method,
                url,
                body=data,
                headers=headers,
                retries=False,  # ours are above; redirects would carry the token elsewhere
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout),
                preload_content=not stream,
            )
        except (HTTPError, OSError) as error:
            raise unreachable(self.server, error) from error

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self._parts.path}{path}" + (f"?{urlencode(query)}" if query else "")

    def _open_pools(self) -> None:
        with self._lock:
            self._requests = self._pool(POOL_SIZE)
            self._streams = self._pool(POOL_SIZE)
            self._pid = os.getpid()

    def _pool(self, size: int) -> urllib3.HTTPConnectionPool:
        host = self._parts.hostname or ""
        if self._context is None:
            return _PlainPool(host, self._parts.port, maxsize=size, socket_options=_KEEP_ALIVE)
        name = self._connection.server_name or None
        return _SecurePool(
            host,
            self._parts.port,
            maxsize=size,
            ssl_context=self._context,
            server_hostname=name,
            assert_hostname=name,
            socket_options=_KEEP_ALIVE,
        )


def _may_help(error: KubernetesError) -> bool:
    """Whether the same request may pass a moment later.

    A 500 is an answer of the API server's own (an etcd election, say), but server-side apply also says 500 to
    a field that the schema does not have, and to a webhook that does not answer: the first never helps, the
    second is the engine's affair.
    """
    if error.status == 500 and error.reason in ("", "InternalError"):
        return not any(text in error.message for text in ("typed patch object", "failed calling webhook"))
    return not error.permanent and error.status in (0, 408, 429, 500, 502, 503, 504)
