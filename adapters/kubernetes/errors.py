"""Errors of the Kubernetes adapter. Each belongs to two families: `adapters.errors.ExternalError`, and the `ApiError` that
the engine expects."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from adapters.errors import (
    Conflict,
    Denied,
    ExternalError,
    Invalid,
    NotFound,
    Throttled,
    TimedOut,
    Unavailable,
)
from engine.cluster.client import ApiError, Cause

SYSTEM = "Kubernetes"


class KubernetesError(ExternalError, ApiError):
    """The cluster refused or did not answer. `str()` is the message, never the answer's body."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
        permanent: bool | None = None,
        hint: str = "",
    ) -> None:
        ExternalError.__init__(self, message, system=SYSTEM, hint=hint, permanent=permanent)
        ApiError.__init__(
            self, message, status=status, reason=reason, causes=causes, retry_after=retry_after, hint=hint
        )


class KubernetesNotFound(NotFound, KubernetesError):
    """404: the object, its namespace or its kind does not exist."""


class KubernetesConflict(Conflict, KubernetesError):
    """409 and 410: another manager owns a field, the object changed, or a resource version is too old."""


class KubernetesDenied(Denied, KubernetesError):
    """401 and 403."""


class KubernetesThrottled(Throttled, KubernetesError):
    """429, even after our own repeats."""


class KubernetesUnavailable(Unavailable, KubernetesError):
    """No connection, 5xx, or an answer that is not from an API server."""


class KubernetesTimedOut(TimedOut, KubernetesError):
    """No answer in time, or the API server itself says so (504)."""


class KubernetesInvalid(Invalid, KubernetesError):
    """400, 422 and similar: the request itself is invalid. Also: a kubeconfig that is not accepted."""


_CLASSES: dict[int, type[KubernetesError]] = {
    401: KubernetesDenied,
    403: KubernetesDenied,
    404: KubernetesNotFound,
    408: KubernetesTimedOut,
    409: KubernetesConflict,
    410: KubernetesConflict,
    429: KubernetesThrottled,
    504: KubernetesTimedOut,
}


def class_of(status: int) -> type[KubernetesError]:
    """The class for an HTTP status of 300 and above."""
    if status in _CLASSES:
        return _CLASSES[status]
    return KubernetesInvalid if 400 <= status < 500 else KubernetesUnavailable


def refused(server: str, status: int, headers: Mapping[str, str], data: bytes) -> KubernetesError:
    """The error for an answer of the server with an error status."""
    body = _status_of(data)
    retry_after = _seconds(headers.get("Retry-After"))
    if status == 401:
        return KubernetesDenied(
            f"The cluster at {server} does not accept the credentials of its kubeconfig (401).",
            status=401,
            reason="Unauthorized",
            hint="Give the cluster a kubeconfig whose token or certificate is valid.",
        )
    if status == 429 and (body is None or "too many requests" in str(body.get("message"))):
        return KubernetesThrottled(
            f"The cluster at {server} asks to slow down: it has too much to do (429).",
            status=429,
            reason="TooManyRequests",
            retry_after=retry_after or _seconds(((body or {}).get("details") or {}).get("retryAfterSeconds")),
            hint="Try again in a minute.",
        )
    if body is None:
        text = f"The cluster at {server} answered {status} with something that is not Kubernetes' own format."
        return class_of(status)(text, status=status, retry_after=retry_after)
    return from_status(body, status=status, retry_after=retry_after)


def from_status(
    body: Mapping[str, Any], *, status: int = 0, retry_after: float | None = None
) -> KubernetesError:
    """The error for a Status object, be it the answer to a request or an event of a watch."""
    code = status or int(body.get("code") or 500)
    details = body.get("details") or {}
    causes = tuple(
        Cause(cause.get("field") or "", cause.get("reason") or "", cause.get("message") or "")
        for cause in details.get("causes") or []
    )
    return class_of(code)(
        str(body.get("message") or body.get("reason") or f"The cluster answered {code}."),
        status=code,
        reason=str(body.get("reason") or ""),
        causes=causes,
        retry_after=retry_after or _seconds(details.get("retryAfterSeconds")),
    )


def not_understood(server: str) -> KubernetesError:
    """The error for a successful answer in an unexpected form."""
    return KubernetesUnavailable(
        f"The cluster at {server} answered with something that is not Kubernetes' own format."
    )


def unreachable(server: str, error: Exception) -> KubernetesError:
    """The error for a connection that failed or broke, in our own words where these are clearer than the library's."""
    if isinstance(error, MaxRetryError) and error.reason:  # the reason of the only try
        return unreachable(server, error.reason)
    if isinstance(error, NameResolutionError):
        return KubernetesUnavailable(
            f"The cluster's address {server} is not known to the name service.",
            hint="Check the server address in the kubeconfig.",
        )
    if isinstance(error, SSLError) and not _is_broken_off(error):
        return KubernetesUnavailable(
            f"No trusted connection to the cluster at {server}: {_tls_reason(error)}.",
            permanent=True,
            hint="Check certificate-authority-data and the server address in the kubeconfig.",
        )
    if isinstance(error, NewConnectionError):  # a ConnectTimeoutError to urllib3, although nothing timed out
        return KubernetesUnavailable(f"The cluster at {server} does not answer: no connection.")
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return KubernetesTimedOut(f"The cluster at {server} did not answer in time.")
    return KubernetesUnavailable(f"The cluster at {server} does not answer: the connection broke.")


def _is_broken_off(error: SSLError) -> bool:
    """Whether the other side closed the connection during the handshake, as servers and proxies do while they start or
    stop."""
    cause = error.args[0] if error.args else None
    return isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def _tls_reason(error: Exception) -> str:
    match = re.search(r"certificate verify failed: ([^(]+)|\[[A-Z0-9_: ]+\] ([a-z0-9 ]+)", str(error))
    return next((part.strip() for part in match.groups() if part), "TLS failed") if match else "TLS failed"


def _status_of(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data)
    except ValueError:
        return None
    return body if isinstance(body, dict) and body.get("kind") == "Status" else None


def _seconds(text: Any) -> float | None:
    """Seconds of a Retry-After header; None for a date (API servers send seconds)."""
    try:
        return max(0.0, float(text))
    except (TypeError, ValueError):
        return None


def status_message(response: urllib3.BaseHTTPResponse) -> bytes:
    """The rest of a refused stream's answer, at most 64 kB."""
    try:
        return response.read(65536)
    except (HTTPError, OSError):
        return b""
