"""The words of server-side apply for what does not fit a schema: those of sigs.k8s.io/structured-merge-diff (typed/)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind

_NUMERIC = "numeric (int or float)"
_EXPECTED = {"integer": _NUMERIC, "number": _NUMERIC, "struct": "map", "int-or-string": "string"}
_TYPES = {
    dict: "map[string]interface {}",
    list: "[]interface {}",
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
}


def refusal(body: Json, kind: Kind, wrong: Sequence[str]) -> str:
    """The whole text of a refusal: the object, and all that is wrong with it."""
    metadata = body["metadata"]
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    words = wrong[0] if len(wrong) == 1 else "errors:\n" + "\n".join(f"  {text}" for text in wrong)
    return f"failed to create typed patch object ({name}; {kind.api_version}, Kind={kind.kind}): {words}"


def misfit(path: str, form: str, value: Any) -> str:
    """That a value at a path is not of the form of its type."""
    wanted = _EXPECTED.get(form, form)
    if wanted == _NUMERIC:
        found = _TYPES.get(type(value), "<nil>")
    elif wanted == "string":
        found = f"&value.valueUnstructured{{Value:{_in_go(value)}}}"
    else:
        found = f"&{{{_plain(value)}}}"
    return f"{path}: expected {wanted}, got {found}"


def _in_go(value: Any) -> str:
    """A value as `%#v` prints it."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(name)}:{_in_go(below)}" for name, below in sorted(value.items()))
        return f"{_TYPES[dict]}{{{pairs}}}"
    if isinstance(value, list):
        return f"{_TYPES[list]}{{{', '.join(map(_in_go, value))}}}"
    return json.dumps(value)


def _plain(value: Any) -> str:
    """A value as `%v` prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{_plain(below)}" for name, below in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_plain, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
