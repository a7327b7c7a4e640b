"""Checks custom objects against the schema of their CustomResourceDefinition (OpenAPI v3, without CEL rules)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Cause, invalid_value, required, unsupported

_NAMES = {"object": dict, "array": list, "string": str, "boolean": bool}
_BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


def check_custom(body: Json, kind: Kind) -> Iterator[Cause]:
    """Every cause why the object does not fit its schema."""
    schema = kind.schema or {}
    without_metadata = {k: v for k, v in (schema.get("properties") or {}).items() if k != "metadata"}
    yield from _check(body, {**schema, "properties": without_metadata}, "")


def _check(value: Any, schema: Json, path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    if not _has_type(value, schema):
        kind = schema["type"]
        words = f'{path} in body must be of type {kind}: "{_type_name(value)}"'
        yield path or "<nil>", "FieldValueTypeInvalid", f'Invalid value: "{_type_name(value)}": {words}'
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported(path, value, [str(choice) for choice in schema["enum"]])
    yield from _bounds(value, schema, path)
    if isinstance(value, dict):
        for name in schema.get("required") or []:
            if name not in value:
                yield required(f"{path}.{name}" if path else name)
        properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, below in value.items():
            inner = properties.get(name) or (more if isinstance(more, dict) else None)
            if inner:
                yield from _check(below, inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from _check(item, schema["items"], f"{path}[{index}]")


def _bounds(value: Any, schema: Json, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield invalid_value(path, value, f"{path} in body should match '{schema['pattern']}'")
    for bound in _BOUNDS:
        if bound not in schema or isinstance(value, bool | dict):
            continue
        counted = bound.endswith(("Length", "Items"))
        if counted != isinstance(value, str | list):
            continue
        size = len(value) if counted else value
        if (bound.startswith("min") and size < schema[bound]) or (
            bound.startswith("max") and size > schema[bound]
        ):
            word = "greater" if bound.startswith("min") else "less"
            yield invalid_value(
                path, value, f"{path} in body should be {word} than or equal to {schema[bound]}"
            )


def _has_type(value: Any, schema: Json) -> bool:
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    if kind in ("integer", "number"):
        good = isinstance(value, int) or (kind == "number" and isinstance(value, float))
        return good and not isinstance(value, bool)
    return kind not in _NAMES or isinstance(value, _NAMES[kind])


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")
