"""One request and its answer in the form that the routes read and return, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from engine.types import Json
from sandbox.kubernetes.access import User
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused, bad_request
from sandbox.kubernetes.store import encode

APPLY = "application/apply-patch+yaml"  # the media type of server-side apply
_FALSE = ("false", "0", "False", "FALSE", "f", "F", "")
_FORMS = ("", "Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True)
class Request:
    """A request, its body read. Names of headers are small."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: User
    warnings: list[str] = field(default_factory=list)  # for its answer

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def accept(self) -> str:
        return self.headers.get("accept") or "*/*"

    @property
    def manager(self) -> str:
        """The owner of the fields that an update changes: the parameter, else the program's name."""
        agent = self.headers.get("user-agent", "").partition("/")[0]
        return self.query.get("fieldManager") or agent[:128] or "unknown"

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; anything else counts as true, as in Go's conversion of queries."""
        return self.query.get(name, "") not in _FALSE

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number. Raises Refused (400)."""
        text = self.query.get(name, "")
        try:
            return int(text) if text else None
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


@dataclass(frozen=True)
class Call:
    """A request for objects, understood. `namespace`: "" for all. `name`: "" for all objects. `subresource`: "" for none."""

    request: Request
    verb: str
    kind: Kind
    namespace: str
    name: str
    subresource: str


@dataclass
class Answer:
    """The answer: a whole body, or a stream of pieces."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


def json_answer(body: Json, status: int = 200) -> Answer:
    return Answer(status, encode(body) + b"\n")


def text_answer(text: str, status: int = 200) -> Answer:
    return Answer(status, text.encode(), "text/plain; charset=utf-8")


def form_of(request: Request) -> str:
    """The form in which an object is wanted: "" for as it is, Table, PartialObjectMetadata(List). Raises Refused (406)."""
    for part in request.accept.split(","):
        media, *parameters = part.replace(" ", "").split(";")
        form = next((p[3:] for p in parameters if p.startswith("as=")), "")
        if media in ("application/json", "application/*", "*/*") and form in _FORMS:
            return form
    raise Refused(406, "NotAcceptable", "only the following media types are accepted: application/json")
