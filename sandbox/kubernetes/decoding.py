"""Bodies of requests: JSON to objects of a kind, with the decoder's refusals; unknown and doubled fields.

The words are those of k8s.io/apimachinery (runtime/serializer/json) and sigs.k8s.io/json.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused, bad_request
from sandbox.kubernetes.schema import Type

MOST_BYTES = 3 * 1024 * 1024  # of a body
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_GO_KINDS = {"string": "string", "boolean": "bool", "number": "float64", "quantity": "string"}


def parse(data: bytes, content_type: str) -> tuple[Any, list[str]]:
    """The value, and the paths of fields that were given twice. Raises Refused (415), ValueError."""
    media = content_type.partition(";")[0].strip().lower()
    if media == "application/yaml":
        try:
            return yaml.load(data, Loader=yaml.CSafeLoader), []
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(str(error)) from error
    if media not in ("", "application/json"):
        message = (
            f"the body of the request was in an unknown format - accepted media types include: {_ACCEPTED}"
        )
        raise Refused(415, "UnsupportedMediaType", message)
    return parse_json(data)


class _Pairs(dict):
    """A JSON object that remembers names which came twice."""

    doubled: tuple[str, ...] = ()


def parse_json(data: bytes) -> tuple[Any, list[str]]:
    """The value, and the paths of fields that were given twice. Raises ValueError.

    Names of fields are shared between all objects, which halves the room that these take.
    """
    doubled = []

    def interned(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {sys.intern(name): value for name, value in pairs}
        if len(found) != len(pairs):
            doubled.append(found)
        return found

    try:
        value = json.loads(data, object_pairs_hook=interned)
        marked = json.loads(data, object_pairs_hook=_pairs) if doubled else None
    except RecursionError as error:
        raise ValueError("exceeded max depth") from error
    return value, list(_doubled(marked, ""))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _Pairs(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        found.doubled = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return found


def _doubled(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        for name in value.doubled:
            yield f"{path}{name}"
        for name, below in value.items():
            yield from _doubled(below, f"{path}{name}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _doubled(item, f"{path.removesuffix('.')}[{index}].")


def read_object(data: bytes, content_type: str, kind: Kind) -> tuple[Json, list[str]]:
    """The object in a body of create or update, and the problems that strict validation minds. Raises Refused."""
    if not data:
        raise _unrecognized(kind, "json parse error: unexpected end of JSON input (<empty>)")
    try:
        body, doubled = parse(data, content_type)
    except ValueError as error:
        shown = data[:50].decode(errors="replace")
        raise _unrecognized(kind, f"json parse error: {_json_words(data, error)} ({shown})") from error
    if not isinstance(body, dict):
        what = "array" if isinstance(body, list) else "value"
        raise _unrecognized(
            kind, f"json parse error: json: cannot unmarshal {what} into Go value of type struct"
        )
    check_kind(body, kind)
    unknown = check_types(body, kind)
    problems = [f'duplicate field "{path}"' for path in doubled] + [f'unknown field "{p}"' for p in unknown]
    return body, problems


def _unrecognized(kind: Kind, why: str) -> Refused:
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get version/kind; {why}"
    )


def _json_words(data: bytes, error: ValueError) -> str:
    if (
        isinstance(error, json.JSONDecodeError)
        and error.pos >= len(data.decode(errors="replace").rstrip()) - 1
    ):
        return "unexpected end of JSON input"
    return f"invalid character in JSON: {error}"


def check_kind(body: Json, kind: Kind) -> None:
    """Sets kind and version where they are missing. Raises Refused when they are another's."""
    said_version, said_kind = body.get("apiVersion") or kind.api_version, body.get("kind") or kind.kind
    if (said_version, said_kind) != (kind.api_version, kind.kind):
        version = str(said_version).rpartition("/")[2]
        raise bad_request(
            f'{said_kind} in version "{version}" cannot be handled as a {kind.kind}: '
            f'no kind "{said_kind}" is registered for version "{said_version}"'
        )
    body["apiVersion"], body["kind"] = kind.api_version, kind.kind
    if body.get("metadata") is None:
        body["metadata"] = {}


class Mismatch(Exception):
    """A value of the wrong type. `path` as in `spec.replicas`, `owner` the struct that has the field."""

    def __init__(self, path: str, value: Any, kind: Type, owner: str) -> None:
        super().__init__(path)
        self.path = path
        self.value = value
        self.kind = kind
        self.owner = owner


def check_types(body: Json, kind: Kind) -> list[str]:
    """The paths of fields that the kind does not have; they and nulls are taken out. Raises Refused (400)."""
    unknown: list[str] = []
    head = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
    try:
        _walk(body, kind.type, "", kind.kind, unknown)
    except Mismatch as error:
        if kind.custom:
            return unknown  # validation tells what is wrong with it
        raise bad_request(head + _decoder_words(error)) from error
    if (kind.group, kind.kind) == ("", "Secret"):
        _check_base64(body, head)
    return unknown


def unknown_problems(body: Json, kind: Kind) -> list[str]:
    """As `check_types`, in the words of strict validation."""
    return [f'unknown field "{path}"' for path in check_types(body, kind)]


def _check_base64(body: Json, head: str) -> None:
    for value in (body.get("data") or {}).values():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise bad_request(f"{head}illegal base64 data at input byte 0") from error


def _decoder_words(error: Mismatch) -> str:
    if error.kind.form == "quantity" and isinstance(error.value, str):
        return "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    found = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    what = found[type(error.value)]
    if what == "number" and error.kind.form == "integer":
        what = f"number {json.dumps(error.value)}"
    return f"json: cannot unmarshal {what} into Go struct field {error.owner}.{error.path} of type {_go_type(error.kind)}"


def _go_type(kind: Type) -> str:
    if kind.form == "integer":
        return kind.int_format or "int64"
    if kind.form == "list":
        return f"[]{_go_type(kind.items)}"
    if kind.form == "map":
        return "map[string]string"
    return _GO_KINDS.get(kind.form) or f"v1.{kind.name}"


def strip_nulls(value: Any) -> Any:
    """A copy without fields that are null: the decoder leaves them out, as if they were not given."""
    if isinstance(value, dict):
        return {k: strip_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [strip_nulls(item) for item in value]
    return value


def _walk(value: Any, kind: Type, path: str, owner: str, unknown: list[str]) -> None:
    """Checks a value; takes unknown fields out of it. Raises Mismatch."""
    if kind.form == "any":
        return
    if not _fits(value, kind):
        raise Mismatch(path, value, kind, owner)
    if isinstance(value, dict):
        _walk_fields(value, kind, path, unknown, owner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, kind.items, f"{path}[{index}]", owner, unknown)


def _walk_fields(value: Json, kind: Type, path: str, unknown: list[str], owner: str) -> None:
    owner = kind.name if kind.form == "struct" and kind.name else owner
    for name in list(value):
        here = f"{path}.{name}" if path else name
        below = kind.field(name)
        if below is None:
            unknown.append(here)
            del value[name]
        elif value[name] is None:
            if kind.form == "struct":
                del value[name]
        else:
            _walk(value[name], below, path if kind.form == "map" else here, owner, unknown)


def _fits(value: Any, kind: Type) -> bool:
    form = kind.form
    if form in ("struct", "map", "empty"):
        return isinstance(value, dict)
    if form == "list":
        return isinstance(value, list)
    if form == "string":
        return isinstance(value, str)
    if form == "boolean":
        return isinstance(value, bool)
    if form == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if form == "quantity":
        return _is_number(value) or (isinstance(value, str) and bool(_QUANTITY.fullmatch(value)))
    if form == "int-or-string":
        return isinstance(value, int | str) and not isinstance(value, bool)
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_applied(config: Json, kind: Kind, namespace: str, name: str) -> None:
    """What server-side apply minds of a configuration, with its own words and status 500. Raises Refused."""
    trouble = _applied_trouble(config, kind.type, "")
    if trouble:
        where = f"{namespace}/{name}; {kind.api_version}, Kind={kind.kind}"
        raise Refused(500, "", f"failed to create typed patch object ({where}): {trouble}")


def _applied_trouble(value: Any, kind: Type, path: str) -> str:
    if kind.form == "any" or value is None:
        return ""
    if not _fits(value, kind):
        return (
            f"{path}: {_expected(value, kind)}"
            if kind.form != "quantity" or not isinstance(value, str)
            else ""
        )
    if isinstance(value, dict):
        for field, below in value.items():
            inner = kind.field(field)
            if inner is None:
                return f"{path}.{field}: field not declared in schema"
            if trouble := _applied_trouble(below, inner, f"{path}.{field}"):
                return trouble
    elif isinstance(value, list):
        return _list_trouble(value, kind, path)
    return ""


def _list_trouble(value: list[Any], kind: Type, path: str) -> str:
    seen = set()
    for index, item in enumerate(value):
        key = kind.key_of(item) if kind.list_type == "map" else json.dumps(item)
        step = _key_words(key) if kind.list_type == "map" else f"[{index}]"
        if kind.list_type != "atomic" and key in seen:
            return f"{path}: duplicate entries for key {step}"
        seen.add(key)
        if trouble := _applied_trouble(item, kind.items, f"{path}{step}"):
            return trouble
    return ""


def _key_words(key: str) -> str:
    return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(key).items()) + "]"


def _expected(value: Any, kind: Type) -> str:
    got = {str: "string", bool: "boolean", int: "int", float: "float", list: "list", dict: "map"}[type(value)]
    if kind.form in ("integer", "number"):
        return f"expected numeric (int or float), got {got}"
    wanted = {"struct": "map", "empty": "map", "int-or-string": "string"}.get(kind.form, kind.form)
    return f"expected {wanted}, got &value.valueUnstructured{{Value:{json.dumps(value)}}}"
