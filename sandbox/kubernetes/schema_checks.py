"""Checks custom objects against the schema of their CustomResourceDefinition (OpenAPI v3, without CEL rules)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Cause, invalid_value, required, unsupported

_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_SEVERAL = {"number": ("integer", "number"), "int-or-string": ("integer", "string")}
_SIZES = {
    str: "Length",
    list: "Items",
    int: "imum",
    float: "imum",
}  # what bounds are called: minLength, minimum


def check_custom(body: Json, kind: Kind) -> Iterator[Cause]:
    """Every cause why the object does not fit its schema."""
    schema = kind.schema or {}
    without_metadata = {k: v for k, v in (schema.get("properties") or {}).items() if k != "metadata"}
    yield from _check(body, {**schema, "properties": without_metadata}, "")


def _check(value: Any, schema: Json, path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    found = _NAMES.get(type(value), "null")
    wanted = "int-or-string" if schema.get("x-kubernetes-int-or-string") else schema.get("type", found)
    if found not in _SEVERAL.get(wanted, (wanted,)):
        words = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
        yield path or "<nil>", "FieldValueTypeInvalid", words
        return
    if value not in schema.get("enum", [value]):
        yield unsupported(path, value, [str(choice) for choice in schema["enum"]])
    yield from _bounds(value, schema, path)
    for name, below, inner in _children(value, schema):
        yield from _check(below, inner, f"{path}{name}".removeprefix("."))
    for name in schema.get("required") or []:
        if isinstance(value, dict) and name not in value:
            yield required(f"{path}.{name}".removeprefix("."))


def _children(value: Any, schema: Json) -> Iterator[tuple[str, Any, Json]]:
    """What a value holds and the schema knows: the step to it, and its schema."""
    if isinstance(value, dict):
        more = schema.get("additionalProperties")
        for name, below in value.items():
            inner = (schema.get("properties") or {}).get(name) or more
            if isinstance(inner, dict):
                yield f".{name}", below, inner
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield f"[{index}]", item, schema["items"]


def _bounds(value: Any, schema: Json, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield invalid_value(path, value, f"{path} in body should match '{schema['pattern']}'")
    what = _SIZES.get(type(value))
    for side, sign, word in (("min", 1, "greater"), ("max", -1, "less")):
        bound = schema.get(f"{side}{what}")
        if bound is not None and sign * (value if what == "imum" else len(value)) < sign * bound:
            yield invalid_value(path, value, f"{path} in body should be {word} than or equal to {bound}")
