"""One HTTP request and its answer, without HTTP: what the routes read and return."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from engine.types import Json
from sandbox.kubernetes.access import User
from sandbox.kubernetes.refusals import Refused, bad_request
from sandbox.kubernetes.store import encode

_FALSE = ("false", "0", "False", "FALSE", "f", "F", "")


@dataclass(frozen=True)
class Request:
    """A request, its body read."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: User

    @classmethod
    def of(
        cls, method: str, path: str, query: str, headers: dict[str, str], body: bytes, user: User
    ) -> Request:
        """From the parts of the wire; of a parameter that is given twice the first counts, as in Go."""
        values: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            values.setdefault(name, value)
        return cls(method, path, values, headers, body, user)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "*/*") or "*/*"

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; anything else counts as true, as in Go's conversion of queries."""
        return name in self.query and self.query[name] not in _FALSE

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number. Raises Refused (400)."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None

    @property
    def manager(self) -> str:
        """Who owns what an update changes: by parameter, else the program's name."""
        agent = self.headers.get("user-agent", "").partition("/")[0]
        return self.query.get("fieldManager") or agent[:128] or "unknown"


@dataclass
class Answer:
    """What goes back: a whole body, or a stream of pieces."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


def json_answer(body: Json, status: int = 200) -> Answer:
    return Answer(status, encode(body) + b"\n")


def text_answer(text: str, status: int = 200) -> Answer:
    return Answer(status, text.encode(), "text/plain; charset=utf-8")


def refusal_answer(refusal: Refused) -> Answer:
    """The Status of a refusal."""
    headers = {"Retry-After": "1"} if refusal.code == 429 else {}
    return Answer(refusal.code, encode(refusal.status()) + b"\n", headers=headers)


_NOT_ACCEPTED = (
    "only the following media types are accepted: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)


def form_of(request: Request) -> str:
    """The form in which an object is wanted: "", Table, PartialObjectMetadata(List). Raises Refused (406)."""
    for part in request.accept.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        wanted = dict(p.split("=", 1) for p in parameters if "=" in p)
        if media not in ("application/json", "*/*", "application/*"):
            continue
        if "as" not in wanted:
            return ""
        if wanted.get("g") == "meta.k8s.io" and wanted["as"] in (
            "Table",
            "PartialObjectMetadata",
            "PartialObjectMetadataList",
        ):
            return wanted["as"]
    raise Refused(406, "NotAcceptable", _NOT_ACCEPTED)
