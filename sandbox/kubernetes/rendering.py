"""Objects and lists in the form that was asked for: whole, metadata only, or as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.types import Json
from sandbox.kubernetes.cells import columns_of
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.store import Stored, encode

_META = "meta.k8s.io/v1"
Render = Callable[[Stored], bytes]


def renderer(kind: Kind, form: str, *, include: str = "Metadata", watch: bool = False) -> Render:
    """Gives one object's JSON in a form. In a watch, tables come without their head after the first one."""
    if form == "Table":
        heads = iter([True])
        return lambda stored: encode(
            _table(
                kind, [stored], {"resourceVersion": str(stored.version)}, include, head=next(heads, not watch)
            )
        )
    if form:
        return lambda stored: encode(_metadata_of(stored.body))
    return lambda stored: _data(kind, stored)


def listed(kind: Kind, found: Sequence[Stored], metadata: Json, form: str, include: str) -> bytes:
    """A whole list."""
    if form == "Table":
        return encode(_table(kind, found, metadata, include))
    if form:
        head = {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": metadata}
        items = [encode(_metadata_of(stored.body)) for stored in found]
    else:
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        # Items of built-in lists come without kind and version, which every stored object begins with.
        prefix = (
            b"" if kind.custom else encode({"kind": kind.kind, "apiVersion": kind.api_version})[1:-1] + b","
        )
        items = [b"{" + _data(kind, stored)[1:].removeprefix(prefix) for stored in found]
    return encode(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _table(kind: Kind, found: Sequence[Stored], metadata: Json, include: str, *, head: bool = True) -> Json:
    """A Table object. `include`: Metadata, Object or None, what each row carries of its object."""
    columns = columns_of(kind)
    rows: list[Json] = []
    for body in (_versioned(kind, stored) for stored in found):
        row = {"cells": [cell(body) for _, cell in columns]}
        carried = body if include == "Object" else _metadata_of(body)
        rows.append(row if include == "None" else {**row, "object": carried})
    definitions = [definition for definition, _ in columns] if head else None
    return {
        **{"kind": "Table", "apiVersion": _META, "metadata": metadata},
        **{"columnDefinitions": definitions, "rows": rows},
    }


def _versioned(kind: Kind, stored: Stored) -> Json:
    """The object under the version that was asked for."""
    body = stored.body
    return body if body["apiVersion"] == kind.api_version else {**body, "apiVersion": kind.api_version}


def _data(kind: Kind, stored: Stored) -> bytes:
    if not kind.custom or stored.body["apiVersion"] == kind.api_version:
        return stored.data
    return encode(_versioned(kind, stored))


def _metadata_of(body: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": body["metadata"]}
