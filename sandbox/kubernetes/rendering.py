"""Objects and lists in the form that was asked for: whole, metadata only, or as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.types import Json
from sandbox.kubernetes import tables
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.store import Stored, encode

_META = "meta.k8s.io/v1"
Render = Callable[[Stored], bytes]


def renderer(kind: Kind, form: str, *, include: str = "Metadata", watch: bool = False) -> Render:
    """Gives one object's JSON in a form. In a watch, tables come without their head after the first one."""
    if form == "Table":
        first = [True]

        def row(stored: Stored) -> bytes:
            head = first[0] or not watch
            first[0] = False
            return encode(
                tables.table(kind, [versioned(kind, stored)], stored_version(stored), include, head=head)
            )

        return row
    if form:
        return lambda stored: encode(_metadata_of(stored.body))
    if kind.custom:
        return lambda stored: _custom_data(kind, stored)
    return lambda stored: stored.data


def stored_version(stored: Stored) -> str:
    return str(stored.version)


def versioned(kind: Kind, stored: Stored) -> Json:
    """The object under the version that was asked for."""
    body = stored.body
    return body if body["apiVersion"] == kind.api_version else {**body, "apiVersion": kind.api_version}


def _custom_data(kind: Kind, stored: Stored) -> bytes:
    body = versioned(kind, stored)
    return stored.data if body is stored.body else encode(body)


def _metadata_of(body: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": body["metadata"]}


def listed(kind: Kind, found: Sequence[Stored], metadata: Json, form: str, include: str) -> bytes:
    """A whole list."""
    if form == "Table":
        bodies = [versioned(kind, stored) for stored in found]
        body = tables.table(kind, bodies, metadata["resourceVersion"], include)
        body["metadata"] = metadata
        return encode(body)
    if form:
        head = {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": metadata}
        items = [encode(_metadata_of(stored.body)) for stored in found]
    else:
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        items = [_custom_data(kind, stored) for stored in found] if kind.custom else _bare_items(kind, found)
    return encode(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _bare_items(kind: Kind, found: Sequence[Stored]) -> list[bytes]:
    """Items of built-in lists come without kind and version, which every stored object begins with."""
    prefix = encode({"kind": kind.kind, "apiVersion": kind.api_version})[:-1] + b","
    return [
        b"{" + stored.data[len(prefix) :] if stored.data.startswith(prefix) else stored.data
        for stored in found
    ]
