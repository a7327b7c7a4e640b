"""The engine's view of a Kubernetes client: a protocol, its data and its one error.

`adapters/kubernetes/client.py` provides the real thing. Everything is plain JSON: no typed models, since they refuse
what newer servers send and cost ten times the parsing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from engine.errors import SlipwayError
from engine.types import Json

APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
ACCEPT_JSON = "application/json"
# The server may answer with the object's metadata only. One that does not know the form sends the whole
# object, which serves as well.
ACCEPT_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
ACCEPT_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
MESSAGE_LIMIT = 300  # of texts taken from the API server that are shown as they are, in characters
WORDS_LIMIT = 20_000  # of texts taken from the API server that are interpreted, in characters

# Set in a thread whose work is called off: a client that repeats requests then ends with the last error instead.
called_off: ContextVar[threading.Event | None] = ContextVar("called_off", default=None)
# Set in a thread that changes the cluster: a client calls it right before each try of a request that is no read. It raises where
# this work may no longer write.
before_write: ContextVar[Callable[[], None] | None] = ContextVar("before_write", default=None)


@dataclass(frozen=True)
class Cause:
    """One entry of `details.causes` of the API server's Status: which field, what kind of problem, in which
    words."""

    field: str
    reason: str
    message: str


class ApiError(SlipwayError):
    """The API server refused, or did not answer.

    `status` is the HTTP status, 0 when there was no answer; `reason` the Status object's word (`NotFound`,
    `Invalid`, …); `retry_after` seconds, when the server named them. `words` is the server's whole text, to be
    interpreted; `message` is cut to 300 characters, to be shown. Both may quote an object's values: redact them
    before they are kept.
    """

    words: str
    status: int
    reason: str
    causes: tuple[Cause, ...]
    retry_after: float | None

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        causes: Sequence[Cause] = (),
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        SlipwayError.__init__(self, message[:MESSAGE_LIMIT], hint=hint)
        self.words = message[:WORDS_LIMIT]
        self.status = status
        self.reason = reason
        self.causes = tuple(causes)
        self.retry_after = retry_after

    @property
    def is_gone(self) -> bool:
        """The resource version of a watch or a list is too old: list again."""
        return self.status == 410 or self.reason in ("Expired", "Gone")


def root_of(group: str, version: str) -> tuple[str, ...]:
    """The parts of the URL path under which a group and version is served."""
    return ("apis", group, version) if group else ("api", version)


def path_of(parts: Iterable[str]) -> str:
    """A URL path of these parts, each of them quoted: names come from manifests, and `..`, `/` or `?` in one would
    address another object."""
    quoted = [quote(part, safe=":") for part in parts]
    return "".join("/" + (part.replace(".", "%2E") if part in (".", "..") else part) for part in quoted)


@dataclass(frozen=True)
class Resource:
    """A kind as the API server serves it. `verbs` is empty where the static table is the source."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of one object, or of the list when `name` is empty (of all namespaces when that is
        empty, too). A name cannot lead to another path, whatever it holds."""
        parts = [*root_of(self.group, self.version)]
        parts += ["namespaces", namespace] if self.namespaced and namespace else []
        parts += [self.plural, name] if name else [self.plural]
        return path_of(parts)


@dataclass(frozen=True)
class Answer:
    """A successful answer: HTTP status (201: created), body, and the warnings that the server sent with it."""

    status: int
    body: Json
    warnings: tuple[str, ...] = ()


class Stream(Protocol):
    """Something that arrives piece by piece: watch events, or lines of a log. `close` may be called from
    another thread."""

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> None: ...


class Client(Protocol):
    """A connection to one cluster, used by many threads at once. Every method raises ApiError, and nothing
    else, when it fails."""

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Any] | None = None,
        content_type: str = ACCEPT_JSON,
        accept: str = ACCEPT_JSON,
        timeout: float | None = None,
    ) -> Answer:
        """One request. Repeatable ones (GET, DELETE, server-side apply) are repeated a few times when the
        server is busy or away."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Any] | None = None,
        content_type: str = ACCEPT_JSON,
        accept: str = ACCEPT_JSON,
        timeout: float | None = None,
    ) -> Json:
        """As `send`; returns only the body."""

    def watch(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = ACCEPT_JSON
    ) -> Stream:
        """Events as dicts (`type`, `object`), until the server ends the stream. An ERROR event is raised as
        ApiError."""

    def text(self, path: str, *, query: Mapping[str, str] | None = None) -> str:
        """A whole text, such as a container's log."""

    def lines(self, path: str, *, query: Mapping[str, str] | None = None) -> Stream:
        """The lines of a text that may still grow (`follow=true`)."""

    def discover(self, group: str, version: str) -> list[Resource]:
        """The kinds of one group and version; empty when the server does not serve it."""


def find(client: Client, path: str) -> Json | None:
    """The object at a path, None when it is not there. Raises ApiError for everything else."""
    try:
        return client.request("GET", path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def list_all(
    client: Client, path: str, *, query: Mapping[str, str] | None = None, accept: str = ACCEPT_JSON
) -> tuple[list[Json], str]:
    """All items of a list, page by page, and the resource version from which a watch may go on.

    A list that expires between two pages (410) is read once more in one piece.
    """
    items: list[Json] = []
    page: dict[str, str] = {**(query or {}), "limit": "500"}
    while True:
        try:
            body = client.request("GET", path, query=page, accept=accept)
        except ApiError as error:
            if not error.is_gone or "limit" not in page:
                raise
            items, page = [], dict(query or {})
            continue
        items += body.get("items") or []
        metadata = body.get("metadata") or {}
        if not metadata.get("continue"):
            return items, str(metadata.get("resourceVersion", ""))
        page["continue"] = metadata["continue"]
