"""Bodies of requests: bytes to objects of a kind, and all that a decoder refuses: wrong types, unknown, doubled fields.

The words are those of k8s.io/apimachinery (runtime/serializer/json), sigs.k8s.io/json and, for server-side apply,
sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused, bad_request, invalid
from sandbox.kubernetes.requests import Request
from sandbox.kubernetes.schema import Type

MOST_BYTES = 3 * 1024 * 1024  # of a body
Twice = list[tuple[Json, list[str]]]  # objects of a body, and the names in them that came more than once
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_FOUND = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_GO_TYPES = {"boolean": "bool", "number": "float64", "integer": "int64"}
_EXPECTED = {
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
    "struct": "map",
    "empty": "map",
    "int-or-string": "string",
}


# --- bytes -----------------------------------------------------------------------------------------------------------


def parse(request: Request, wanted: type = dict) -> tuple[Any, Twice]:
    """The JSON or YAML of a body. Raises Refused (400, 415), also when it is not of the wanted type."""
    data, media = request.body, request.content_type
    try:
        if media.endswith("yaml") and not data.startswith(
            b"{"
        ):  # JSON is YAML, and far faster to read as what it is
            data = json.dumps(yaml.load(data, Loader=yaml.CSafeLoader), default=str).encode()
        elif media and not media.endswith(("json", "yaml")):
            words = "the body of the request was in an unknown format - accepted media types include: "
            raise Refused(415, "UnsupportedMediaType", f"{words}application/json, application/yaml")
        value, twice = _parse_json(data)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {str(error)[:200]}") from error
    if not isinstance(value, wanted):
        raise bad_request(
            f"json: cannot unmarshal {_FOUND.get(type(value), 'null')} into a value of another type"
        )
    return value, twice


def _parse_json(data: bytes) -> tuple[Any, Twice]:
    """Names of fields are shared between all objects, which halves the room that these take. Raises ValueError."""
    twice: Twice = []

    def interned(pairs: list[tuple[str, Any]]) -> Json:
        found = {sys.intern(name): value for name, value in pairs}
        if len(found) != len(pairs):
            twice.append((found, [n for n, count in Counter(n for n, _ in pairs).items() if count > 1]))
        return found

    return json.loads(data, object_pairs_hook=interned), twice


# --- objects ---------------------------------------------------------------------------------------------------------


def read(request: Request, kind: Kind, warnings: list[str]) -> Json:
    """The object in a body of create or update. Raises Refused."""
    body, twice = parse(request)
    return checked(body, kind, request, warnings, twice)


def checked(
    body: Json, kind: Kind, request: Request, warnings: list[str], twice: Twice | None = None
) -> Json:
    """The object without what its kind does not have, which becomes warnings. Raises Refused (400; 422 for patches)."""
    body["apiVersion"] = body.get("apiVersion") or kind.api_version
    body["kind"] = body.get("kind") or kind.kind
    look = _look(body, kind, _Look(twice or []))
    cannot = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    # what is wrong with the rest of a custom object, its validation tells
    if misfits := [m for path, m in look.misfits if not kind.custom or path.startswith(".metadata")]:
        raise bad_request(f"{cannot}: {misfits[0]}")
    validation = request.query.get("fieldValidation", "")
    if look.fields and validation == "Strict":
        words = f"strict decoding error: {', '.join(look.fields)}"
        if request.method == "PATCH":
            raise invalid("", "", "", [("patch", "FieldValueInvalid", f"Invalid value: {words}")])
        raise bad_request(f"{cannot}: {words}")
    if validation != "Ignore":
        warnings += look.fields
    return body


def read_applied(request: Request, kind: Kind, address: str) -> Json:
    """The configuration in a body of server-side apply. Raises Refused (400, 500)."""
    config, _ = parse(request)
    look = _look(config, kind, _Look(applied=True))
    if wrong := [*look.fields, *(words for _, words in look.misfits)]:
        where = f"{address}; {kind.api_version}, Kind={kind.kind}"
        raise Refused(500, "", f"failed to create typed patch object ({where}): {wrong[0]}")
    if config["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    return config


def _look(body: Json, kind: Kind, look: _Look) -> _Look:
    said = (body.get("apiVersion"), body.get("kind"))
    if said != (kind.api_version, kind.kind):
        raise bad_request(f"{said[1]} of {said[0]} cannot be handled as a {kind.kind} of {kind.api_version}")
    if body.get("metadata") is None:
        body["metadata"] = {}
    look.at(body, kind.type, "", kind.kind)
    return look


@dataclass
class _Look:
    """One walk over a body. It takes out of it what is unknown or null: the decoder leaves that out, too."""

    twice: Twice = field(default_factory=list)
    applied: bool = False  # in the words of server-side apply, which knows items of lists by their keys
    fields: list[str] = field(default_factory=list)  # unknown and doubled ones, in words
    misfits: list[tuple[str, str]] = field(
        default_factory=list
    )  # values of the wrong type: where, and in words

    def at(self, value: Any, kind: Type, path: str, owner: str) -> None:
        """`path` as in `.spec.replicas`, `owner` is the struct that has the field."""
        if kind.form == "any":
            return
        if not _fits(value, kind):
            self.misfits.append((path, self._misfit(value, kind, path, owner)))
        elif isinstance(value, dict):
            self._at_fields(value, kind, path, kind.name if kind.form == "struct" and kind.name else owner)
        elif isinstance(value, list):
            self._at_items(value, kind, path, owner)

    def _at_fields(self, value: Json, kind: Type, path: str, owner: str) -> None:
        self.fields += [
            f'duplicate field "{path[1:]}.{n}"' for o, names in self.twice if o is value for n in names
        ]
        for name in list(value):
            here = f"{path}.{name}"
            below = kind.field(name)
            if below is None:
                unknown = (
                    f"{here}: field not declared in schema" if self.applied else f'unknown field "{here[1:]}"'
                )
                self.fields.append(unknown)
            if below is None or value[name] is None:
                del value[name]
            else:
                self.at(value[name], below, path if kind.form == "map" and not self.applied else here, owner)

    def _at_items(self, value: list[Any], kind: Type, path: str, owner: str) -> None:
        seen = set()
        for index, item in enumerate(value):
            step = _step(item, kind, index) if self.applied else f"[{index}]"
            if step in seen:
                self.misfits.append((path, f"{path}: duplicate entries for key {step}"))
            seen.add(step)
            self.at(item, kind.items, f"{path}{step}", owner)

    def _misfit(self, value: Any, kind: Type, path: str, owner: str) -> str:
        if isinstance(value, str) and kind.form in ("quantity", "string"):
            return _BAD_QUANTITY if kind.form == "quantity" else "illegal base64 data at input byte 0"
        found = _FOUND.get(type(value), "null")
        if self.applied:
            return f"{path}: expected {_EXPECTED.get(kind.form, kind.form)}, got {found}"
        wanted = kind.int_format or _GO_TYPES.get(kind.form) or kind.name or kind.form
        return f"json: cannot unmarshal {found} into Go struct field {owner}.{path[1:]} of type {wanted}"


def _step(item: Any, kind: Type, index: int) -> str:
    """The way to an item of a list: by its key, by its value, or by its place."""
    if kind.list_type == "map":
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(kind.key_of(item)).items()) + "]"
    return f"[={json.dumps(item)}]" if kind.list_type == "set" else f"[{index}]"


def _fits(value: Any, kind: Type) -> bool:
    form = kind.form
    if form == "string":
        return isinstance(value, str) and (kind.int_format != "byte" or _is_base64(value))
    if form in ("struct", "map", "empty"):
        return isinstance(value, dict)
    if form == "list":
        return isinstance(value, list)
    if form == "boolean" or isinstance(value, bool):
        return form == "boolean" and isinstance(value, bool)
    if form == "quantity" and isinstance(value, str):
        return bool(_QUANTITY.fullmatch(value))
    return isinstance(value, int | {"integer": int, "int-or-string": str}.get(form, float))


def _is_base64(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True) is not None
    except (binascii.Error, ValueError):
        return False
