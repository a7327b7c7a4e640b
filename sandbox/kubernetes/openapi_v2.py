"""OpenAPI v2 in the one form that `kubectl` reads it: protobuf (gnostic's OpenAPIv2.proto), written by hand.

It asks for it when it is given a `List`, to learn whether patches are validated by the server; so that is all it tells.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubernetes.kinds import Kind

CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def document(kinds: Iterable[Kind]) -> bytes:
    """A Document whose paths have the PATCH operation of every kind."""
    info = _text(1, "Kubernetes") + _text(2, "v1")
    paths = b"".join(_part(2, _text(1, _path(kind)) + _part(2, _part(8, _patch(kind)))) for kind in kinds)
    return _text(1, "2.0") + _part(2, info) + _part(8, paths)


def _path(kind: Kind) -> str:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    return root + ("/namespaces/{namespace}" if kind.namespaced else "") + f"/{kind.plural}/{{name}}"


def _patch(kind: Kind) -> bytes:
    """An Operation: its parameters, and the extension that names the kind."""
    parameters = b"".join(_part(8, _query_parameter(name)) for name in _PARAMETERS)
    yaml = f"group: {kind.group or chr(34) * 2}\nversion: {kind.version}\nkind: {kind.kind}\n"
    extension = _text(1, "x-kubernetes-group-version-kind") + _part(2, _text(2, yaml))
    return parameters + _part(13, extension)


def _query_parameter(name: str) -> bytes:
    """ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema."""
    schema = _text(2, "query") + _text(4, name) + _text(6, "string")
    return _part(1, _part(2, _part(3, schema)))


def _text(field: int, value: str) -> bytes:
    return _part(field, value.encode())


def _part(field: int, data: bytes) -> bytes:
    """A field of wire type 2: its number, its length, its bytes."""
    return _number(field << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    """A varint."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])
