"""Bodies of requests: objects of a kind, checked as a decoder does; replacements and patches.

The messages are those of k8s.io/apimachinery (runtime/serializer/json), sigs.k8s.io/json and, for server-side apply,
sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonpatch
import jsonpointer
import yaml

from engine.types import Json
from sandbox.kubernetes import typed
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.operations import Change
from sandbox.kubernetes.refusals import Refused, bad_request, invalid
from sandbox.kubernetes.requests import APPLY, Request
from sandbox.kubernetes.schema import ANY, Type

MOST_BYTES = 3 * 1024 * 1024  # of a body
Twice = Sequence[tuple[Json, list[str]]]  # objects of a body, and the names in them that came more than once
_JSON, _STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
_REPLACE = {"$patch": "replace"}
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_BASE64 = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_FOUND = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_CLASSES: dict[str, tuple[type, ...]] = {
    **{"struct": (dict,), "map": (dict,), "empty": (dict,), "list": (list,), "string": (str,)},
    **{"boolean": (), "integer": (int,), "number": (int, float)},  # bools are ints for Python only
    **{"quantity": (int, float, str), "int-or-string": (int, str)},
}


# --- bytes -----------------------------------------------------------------------------------------------------------


def parse(request: Request, wanted: type = dict) -> tuple[Any, Twice]:
    """The JSON or YAML of a body. Raises Refused (400, 415), also when it is not of the wanted type.

    Names of fields are shared between all objects, which halves the room that these take.
    """
    data, media, twice = request.body, request.content_type, list[tuple[Json, list[str]]]()
    if request.method != "PATCH" and media not in ("", "application/json", "application/yaml"):
        raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")

    def interned(pairs: list[tuple[str, Any]]) -> Json:
        found = {sys.intern(name): value for name, value in pairs}
        if len(found) != len(pairs):
            twice.append((found, [n for n, count in Counter(n for n, _ in pairs).items() if count > 1]))
        return found

    try:
        if media.endswith("yaml") and data[:1] != b"{":  # JSON is YAML, but far faster to read as what it is
            data = json.dumps(yaml.load(data, Loader=yaml.CSafeLoader), default=str).encode()
        value = json.loads(data, object_pairs_hook=interned)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {str(error)[:200]}") from error
    if not isinstance(value, wanted):
        raise bad_request(f"json: cannot unmarshal {_FOUND.get(type(value), 'null')} into another type")
    return value, twice


# --- objects ---------------------------------------------------------------------------------------------------------


def read(request: Request, kind: Kind) -> Json:
    """The object in a body. Raises Refused."""
    body, twice = parse(request)
    return checked(body, kind, request, twice)


def checked(body: Json, kind: Kind, request: Request, twice: Twice = ()) -> Json:
    """The object without unknown fields; the request warns of these. Raises Refused."""
    applied, strict = request.content_type == APPLY, request.query.get("fieldValidation") == "Strict"
    own, said = (kind.api_version, kind.kind), (body.get("apiVersion"), body.get("kind"))
    said = said if applied else (said[0] or own[0], said[1] or own[1])
    cannot = f'{said[1]} in version "{kind.version}" cannot be handled as a {kind.kind}'
    if said != own:
        raise bad_request(f"{cannot} of {kind.api_version}")
    body["apiVersion"], body["kind"] = own
    if body.get("metadata") is None:
        body["metadata"] = {}
    look = _Look(twice, applied)
    look.at(body, kind.type, "", kind.kind)
    if applied and (wrong := [*look.fields, *look.misfits.values()]):
        raise Refused(500, "", typed.refusal(body, kind, wrong))
    for path, words in look.misfits.items():
        if not kind.custom or path.startswith(".metadata"):  # of the rest, validation of custom kinds tells
            raise bad_request(f"{cannot}: {words}")
    words = f"strict decoding error: {', '.join(look.fields)}"
    if look.fields and strict and request.method == "PATCH":
        raise invalid("", "", "", [("patch", "FieldValueInvalid", f"Invalid value: {words}")])
    if look.fields and strict:
        raise bad_request(f"{cannot}: {words}")
    if request.query.get("fieldValidation") != "Ignore":
        request.warnings.extend(look.fields)
    return body


@dataclass
class _Look:
    """One walk over a body. It removes unknown fields and null values, as the decoder does."""

    twice: Twice
    applied: bool  # in the words of server-side apply, which knows items of lists by their keys
    fields: list[str] = field(default_factory=list)  # unknown and doubled ones, in words
    misfits: dict[str, str] = field(default_factory=dict)  # paths of values of the wrong type, and words

    def at(self, value: Any, kind: Type, path: str, owner: str) -> None:
        """`path` as in `.spec.replicas`, `owner` is the struct that has the field."""
        if kind.form == "any":
            return
        if not _fits(value, kind):
            self.misfits[path] = self._misfit(value, kind, path, owner)
        elif isinstance(value, dict):
            self._at_fields(value, kind, path, kind.name if kind.form == "struct" and kind.name else owner)
        elif isinstance(value, list):
            self._at_items(value, kind, path, owner)

    def _at_fields(self, value: Json, kind: Type, path: str, owner: str) -> None:
        doubled = [name for found, names in self.twice if found is value for name in names]
        self.fields += [f'duplicate field "{path[1:]}.{name}"' for name in doubled]
        for name in list(value):
            here, below = f"{path}.{name}", kind.field(name)
            if below is None and self.applied:
                self.fields.append(f"{here}: field not declared in schema")
            elif below is None:
                self.fields.append(f'unknown field "{here[1:]}"')
            if below is None or value[name] is None:
                del value[name]
            else:
                self.at(value[name], below, path if kind.form == "map" and not self.applied else here, owner)

    def _at_items(self, value: list[Any], kind: Type, path: str, owner: str) -> None:
        seen = set()
        for index, item in enumerate(value):
            step = _step(item, kind, index) if self.applied else f"[{index}]"
            if step in seen:
                self.misfits[path] = f"{path}: duplicate entries for key {step}"
            seen.add(step)
            self.at(item, kind.items, f"{path}{step}", owner)

    def _misfit(self, value: Any, kind: Type, path: str, owner: str) -> str:
        if isinstance(value, str) and kind.form in ("quantity", "string"):
            return _BAD_QUANTITY if kind.form == "quantity" else "illegal base64 data at input byte 0"
        found = _FOUND.get(type(value), "null")
        if self.applied:
            return typed.misfit(path, kind.form, value)
        wanted = "bool" if kind.form == "boolean" else kind.int_format or kind.name or kind.form
        return f"json: cannot unmarshal {found} into Go struct field {owner}.{path[1:]} of type {wanted}"


def _step(item: Any, kind: Type, index: int) -> str:
    """The way to an item of a list: by its key, by its value, or by its place."""
    if kind.list_type == "map":
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(kind.key_of(item)).items()) + "]"
    return f"[={json.dumps(item)}]" if kind.list_type == "set" else f"[{index}]"


def _fits(value: Any, kind: Type) -> bool:
    if isinstance(value, bool) or not isinstance(value, _CLASSES.get(kind.form, (object,))):
        return isinstance(value, bool) and kind.form == "boolean"
    if not isinstance(value, str) or not (kind.form == "quantity" or kind.int_format == "byte"):
        return True
    return bool((_QUANTITY if kind.form == "quantity" else _BASE64).fullmatch(value))


# --- changes ----------------------------------------------------------------------------------------------------------


def change_of(request: Request, kind: Kind) -> Change:
    """The change that the body of a PUT or PATCH describes (any but apply), to objects of a kind. Raises Refused."""
    if request.method == "PUT":
        body = read(request, kind)
        return lambda _old: body
    media = request.content_type
    if media not in _PATCHES or (kind.custom and media == _STRATEGIC):
        raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    patch, _ = parse(request, list if media == _JSON else dict)

    def change(old: Json) -> Json:
        new = _PATCHES[media](old, patch, kind.type)
        if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
            raise bad_request("the patched object is no object, or has no metadata")
        return checked(new, kind, request)

    return change


def json_patch(value: Any, patch: Any, kind: Type) -> Any:
    """RFC 6902. Raises Refused."""
    try:
        return jsonpatch.apply_patch(value, patch)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError) as error:
        message = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", message, {}) from error


def merge_patch(value: Any, patch: Any, kind: Type = ANY) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, new in patch.items():
        if new is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), new)
    return merged


def strategic_patch(value: Any, patch: Any, kind: Type) -> Any:
    """A strategic merge patch: lists merge by key if their type has one; directives begin with `$`."""
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    keep = patch.get("$retainKeys")
    merged = {k: v for k, v in (value or {}).items() if keep is None or k in keep}
    for name, new in patch.items():
        directive, _, about = name.partition("/")
        if directive == "$deleteFromPrimitiveList":
            merged[about] = [x for x in merged.get(about) or [] if x not in new]
        elif name.startswith("$"):
            continue
        elif new is None or (isinstance(new, dict) and new.get("$patch") == "delete"):
            merged.pop(name, None)
        else:
            order = patch.get(f"$setElementOrder/{name}") or []
            merged[name] = _strategic_value(merged.get(name), new, kind.field(name) or ANY, order)
    return merged


def _strategic_value(old: Any, new: Any, kind: Type, order: list[Any]) -> Any:
    if isinstance(new, dict):
        return strategic_patch(old if isinstance(old, dict) else {}, new, kind)
    if not isinstance(new, list) or "merge" not in kind.patch_strategy:
        return new
    if not kind.merge_key:
        return list(dict.fromkeys([*(old or []), *new]))
    merged = _merged_items([] if _REPLACE in new else list(old or []), new, kind)
    wanted = [item.get(kind.merge_key) for item in order if isinstance(item, dict)]
    places = {name: place for place, name in enumerate(wanted)}
    return sorted(merged, key=lambda item: places.get(item.get(kind.merge_key), len(wanted)))


def _merged_items(merged: list[Any], new: list[Any], kind: Type) -> list[Any]:
    key = kind.merge_key
    for item in new:
        if item == _REPLACE:
            continue
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((i for i, found in enumerate(merged) if found.get(key) == item[key]), len(merged))
        here = strategic_patch(merged[place] if place < len(merged) else {}, item, kind.items)
        merged[place : place + 1] = [] if item.get("$patch") == "delete" else [here]
    return merged


_PATCHES = {_JSON: json_patch, "application/merge-patch+json": merge_patch, _STRATEGIC: strategic_patch}
