"""Checks at a container registry whether a credential can pull an image, as a node would.

A registry can issue a token without the right to pull, so only a request for a manifest proves it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from adapters.aws.ecr import MANIFEST_TYPES
from adapters.errors import Denied, ExternalError, Invalid, NotFound, Throttled, TimedOut, Unavailable
from adapters.pools import pool

SYSTEM = "the registry"
TIMEOUT = 5.0
_LARGEST_MANIFEST = 4_000_000  # bytes; registries accept no larger manifest

# The distribution specification's rules for names, tags and digests.
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_REFERENCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64}")


class Expired(Denied):
    """The credential was valid once and has ended."""


class Registry:
    """One registry, with a user name and password (ECR's user is `AWS`, its password the token)."""

    def __init__(
        self, endpoint: str, username: str = "", password: str = "", *, timeout: float = TIMEOUT
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
            hint = "Enter it with its scheme, such as https://registry.example.com."
            raise Invalid("The registry's address is not one.", system=SYSTEM, hint=hint)
        self.host = parts.netloc
        self._base = endpoint.rstrip("/")
        self._headers = {"Accept": ", ".join(MANIFEST_TYPES), "User-Agent": "slipway"}
        if username or password:
            pair = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self._timeout = urllib3.Timeout(connect=timeout, read=timeout)

    def sign_in(self) -> None:
        """Asks for `/v2/`: the registry knows the credential. That alone does not prove a right to pull. Raises as `digest`."""
        status, headers, body = self._ask("GET", "/v2/")
        if status != 200:
            raise self._refusal(status, headers, body, "", "")

    def digest(self, repository: str, reference: str) -> str:
        """The digest of a tag's (or digest's) manifest. The result proves that the image exists and may be pulled.

        `repository`: without host. Raises Denied (wrong or expired credential, no right to pull), NotFound (no such
        repository or image), and Unavailable, TimedOut or Throttled when the registry does not answer.
        """
        if not _REPOSITORY.fullmatch(repository) or not _REFERENCE.fullmatch(reference):
            raise Invalid(f"“{repository[:100]}:{reference[:100]}” is not an image's name.", system=SYSTEM)
        path = f"/v2/{repository}/manifests/{reference}"
        status, headers, _ = self._ask("HEAD", path)
        digest = headers.get("docker-content-digest", "")
        if status == 200 and digest:
            return digest
        # A HEAD has no body. The reason of a refusal, or a missing digest, needs a GET.
        status, headers, body = self._ask("GET", path)
        if status != 200:
            raise self._refusal(status, headers, body, repository, reference)
        return headers.get("docker-content-digest", "") or f"sha256:{hashlib.sha256(body).hexdigest()}"

    def answer(self) -> None:
        """Asks whether a registry answers there; a sign-in that it demands is an answer, too. Raises ExternalError when it
        does not."""
        status, headers, _ = self._ask("GET", "/v2/")
        if status == 404:
            raise NotFound(
                f"{self.host} answers, but not as a registry.", system=SYSTEM, hint="Check its address."
            )
        if status not in (200, 401, 403):
            raise self._refusal(status, headers, b"", "", "")

    def _ask(self, method: str, path: str) -> tuple[int, Mapping[str, str], bytes]:
        try:
            with pool(self._base) as connections, self._open(connections, method, path) as response:
                return response.status, {k.lower(): v for k, v in response.headers.items()}, _body(response)
        except (HTTPError, OSError, ValueError) as error:
            raise self._failure(error) from None

    def _open(self, connections: urllib3.PoolManager, method: str, path: str) -> urllib3.BaseHTTPResponse:
        return connections.request(
            method,
            self._base + path,
            headers=self._headers,
            timeout=self._timeout,
            retries=False,
            redirect=False,  # a redirect would carry the password to another host
            preload_content=False,
        )

    def _failure(self, error: Exception) -> ExternalError:
        """The error for a call without an answer."""
        cause = error.reason if isinstance(error, MaxRetryError) else error
        hint = "Try again; if it stays so, check the network between the portal and the registry."
        if isinstance(cause, ReadTimeoutError | TimeoutError) or type(cause) is ConnectTimeoutError:
            return TimedOut(f"The registry {self.host} gave no answer in time.", system=SYSTEM, hint=hint)
        if isinstance(cause, SSLError):
            message = f"No trusted encrypted connection to the registry {self.host} could be made."
            return Unavailable(message, system=SYSTEM, permanent=True)
        if isinstance(cause, LocationParseError | UnicodeError):
            return Invalid("The registry's address is not one.", system=SYSTEM)
        if isinstance(cause, NewConnectionError | ProxyError | OSError):
            return Unavailable(f"The registry {self.host} is not reachable.", system=SYSTEM, hint=hint)
        return Unavailable(f"The registry {self.host} broke off its answer.", system=SYSTEM, hint=hint)

    def _refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, repository: str, reference: str
    ) -> ExternalError:
        image = repository + ("@" if ":" in reference else ":") + reference
        text = body[:2000].decode(errors="replace").lower()
        if status in (401, 403):
            return self._denial(status, headers, text, repository)
        if status == 404 and repository:
            missing = f"repository {repository}" if "name_unknown" in text else f"image {image}"
            return NotFound(f"The registry {self.host} has no {missing}.", system=SYSTEM)
        if status == 429:
            return Throttled(f"The registry {self.host} asks us to slow down.", system=SYSTEM)
        if status >= 500:
            return Unavailable(f"The registry {self.host} failed on its side (HTTP {status}).", system=SYSTEM)
        hint = "Check the registry's address."
        return Unavailable(
            f"{self.host} does not answer as a registry (HTTP {status}).", system=SYSTEM, hint=hint
        )

    def _denial(self, status: int, headers: Mapping[str, str], text: str, repository: str) -> ExternalError:
        """The error for a 401 or 403. ECR answers 403 for an expired token, in plain text or in JSON."""
        if "expired" in text:
            return Expired(
                f"The pull credential of {self.host} has expired.", system=SYSTEM, hint="Renew it."
            )
        if headers.get("www-authenticate", "").lower().startswith("bearer"):
            message = f"The registry {self.host} wants a sign-in by tokens, which is not supported."
            return Invalid(
                message, system=SYSTEM, hint="Use a registry that takes a user name and a password."
            )
        if status == 401:
            return Denied(f"The registry {self.host} does not accept the pull credential.", system=SYSTEM)
        hint = "Give its owner the right to pull, such as ecr:BatchGetImage and GetDownloadUrlForLayer."
        where = f"pull from {repository}" if repository else "sign in"
        return Denied(f"The pull credential of {self.host} may not {where}.", system=SYSTEM, hint=hint)


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    body = response.read(_LARGEST_MANIFEST + 1)
    if len(body) > _LARGEST_MANIFEST:
        raise ValueError("larger than a manifest can be")
    return body
