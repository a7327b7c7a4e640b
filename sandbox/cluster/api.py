"""A small client for any Kubernetes API server, for the sandbox's own programs: plain JSON over HTTP, no models.

(The portal's client is `adapters/kubernetes/client.py`. This one needs urllib3 only.)
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import urllib3
import yaml

from engine.errors import SlipwayError
from engine.types import Json

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_TIMEOUT = urllib3.Timeout(connect=3, read=30)


class ApiFailed(SlipwayError):
    """The API server refused, or did not answer (`status` 0). `reason`: of the server's Status, such as NotFound."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later: after no answer, overload or an internal error."""
        return self.status in (0, 429) or self.status >= 500


@dataclass(frozen=True)
class Credentials:
    """Server address and credentials (PEM texts) of a kubeconfig's current context."""

    server: str
    authority: str = ""
    certificate: str = ""
    key: str = ""
    token: str = ""

    @classmethod
    def from_kubeconfig(cls, text: str) -> Credentials:
        """Reads the current context. Raises ValueError (with the missing part's name) when it is incomplete."""
        try:
            config = yaml.safe_load(text)
            context = _named(config["contexts"], config["current-context"])["context"]
            cluster = _named(config["clusters"], context["cluster"])["cluster"]
            user = _named(config["users"], context["user"])["user"]
            return cls(
                server=cluster["server"].rstrip("/"),
                authority=_decoded(cluster, "certificate-authority-data"),
                certificate=_decoded(user, "client-certificate-data"),
                key=_decoded(user, "client-key-data"),
                token=user.get("token", ""),
            )
        except (KeyError, TypeError, StopIteration, yaml.YAMLError) as error:
            raise ValueError(f"the kubeconfig has no usable current context: {error!r}") from error

    def ssl_context(self) -> ssl.SSLContext:
        """A context that trusts the kubeconfig's authority and presents the client certificate, if any."""
        context = ssl.create_default_context(cadata=self.authority or None)
        if self.certificate:
            # ssl reads certificates from files only. It reads them here, so the file can be deleted afterwards.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(self.certificate + "\n" + self.key)
                file.flush()
                context.load_cert_chain(file.name)
        return context


class Api:
    """Requests to one API server; may be used by many threads at once."""

    def __init__(self, credentials: Credentials, *, user_agent: str, connections: int = 16) -> None:
        self.server = credentials.server
        headers = {"User-Agent": user_agent, "Accept": "application/json"}
        if credentials.token:
            headers["Authorization"] = f"Bearer {credentials.token}"
        secure = credentials.server.startswith("https:")
        self._headers = headers
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            retries=False,
            ssl_context=credentials.ssl_context() if secure else None,
        )

    @classmethod
    def from_kubeconfig(cls, path: Path, *, user_agent: str, connections: int = 16) -> Api:
        """For the current context of a kubeconfig file. Raises ValueError for an unusable one, OSError for none."""
        credentials = Credentials.from_kubeconfig(path.read_text())
        return cls(credentials, user_agent=user_agent, connections=connections)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        """One request, one JSON answer. Raises ApiFailed."""
        return _parsed(self._send(method, path, body=body, content_type=content_type, query=query).data)

    def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """An answer that is not JSON, such as logs. Raises ApiFailed."""
        return self._send("GET", path, query=query).data.decode(errors="replace")

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return self.request("GET", path, query=query)

    def find(self, path: str) -> Json | None:
        """The object, or None when there is none. Raises ApiFailed for every other refusal."""
        try:
            return self.get(path)
        except ApiFailed as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Json) -> Json:
        return self.request("POST", path, body=body)

    def merge(self, path: str, body: Json) -> Json:
        return self.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    def apply(self, path: str, body: Json, *, manager: str) -> Json:
        """Server-side apply with force: takes over fields of other managers."""
        query = {"fieldManager": manager, "force": "true"}
        return self.request("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)

    def delete(self, path: str, *, grace: int | None = None, uid: str = "") -> Json:
        """Deletes; with `uid` only that very object. Raises ApiFailed (404 when it is gone, 409 when it is another)."""
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        return self.request("DELETE", path, body=options)

    def watch(self, path: str, query: Mapping[str, str], *, silence: float) -> Iterator[Json]:
        """The events of one watch until the server closes it. Raises ApiFailed, also after `silence` seconds without one."""
        timeout = urllib3.Timeout(connect=3, read=silence)
        response = self._send("GET", path, query={**query, "watch": "true"}, timeout=timeout, stream=True)
        try:
            yield from (json.loads(line) for line in _lines(response) if line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiFailed(f"the watch of {path} broke: {error}") from error
        finally:
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: urllib3.Timeout = _TIMEOUT,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {**self._headers, "Content-Type": content_type} if body is not None else self._headers
        data = json.dumps(body).encode() if body is not None else None
        try:
            response = self._pool.request(
                method, url, body=data, headers=headers, preload_content=not stream, timeout=timeout
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiFailed(f"{method} {path}: no answer ({type(error).__name__})") from error
        if response.status >= 400:
            raise _refusal(f"{method} {path}", response)
        return response


def _refusal(what: str, response: urllib3.BaseHTTPResponse) -> ApiFailed:
    """The error for a refusal, with the text of its Status object."""
    answer = _parsed(response.data)
    text = answer.get("message") or response.data[:300].decode(errors="replace")
    reason = str(answer.get("reason", ""))
    return ApiFailed(f"{what}: {response.status} {text}", status=response.status, reason=reason)


def _parsed(data: bytes) -> Json:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yields whole lines of a streamed answer as soon as they arrive."""
    rest = b""
    for chunk in response.stream(65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _named(entries: list[Json], name: str) -> Json:
    return next(e for e in entries if e["name"] == name)


def _decoded(section: Json, key: str) -> str:
    return base64.b64decode(section[key]).decode() if section.get(key) else ""
