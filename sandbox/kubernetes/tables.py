"""Tables, as `kubectl get` shows them, and the columns of custom kinds. Those of built-in kinds are in `cells`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.types import Json
from sandbox.kubernetes.cells import TABLES, Cells, age_of, duration, name_of
from sandbox.kubernetes.clock import since
from sandbox.kubernetes.kinds import Kind


def table(kind: Kind, bodies: Sequence[Json], version: str, include: str, *, head: bool = True) -> Json:
    """A Table object. `include`: Metadata, Object or None, what each row carries of its object."""
    columns, cells = _columns_of(kind)
    rows = [{"cells": cells(body), "object": _carried(body, include)} for body in bodies]
    if include == "None":
        rows = [{"cells": row["cells"]} for row in rows]
    body: Json = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version}}
    body["columnDefinitions"] = columns if head else None
    return {**body, "rows": rows}


def _carried(body: Json, include: str) -> Json:
    if include == "Object":
        return body
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": body["metadata"]}


def _columns_of(kind: Kind) -> tuple[list[Json], Cells]:
    if kind.custom:
        return _custom(kind)
    words, cells = TABLES.get(kind.kind, ("Name Age", lambda o: [name_of(o), age_of(o)]))
    return [_column(word.replace("_", " ")) for word in words.split()], cells


def _column(word: str) -> Json:
    """`+` before a word: shown with `-o wide` only."""
    wide, name = word.startswith("+"), word.removeprefix("+")
    form = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": form, "description": name, "priority": int(wide)}


def _custom(kind: Kind) -> tuple[list[Json], Cells]:
    """The name, and the printer columns of the definition (or the age)."""
    given = kind.columns or ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)
    columns = [_column("Name")]
    for column in given:
        known = {"format": "", "description": column["name"], "priority": 0}
        columns.append({**known, **{k: v for k, v in column.items() if k != "jsonPath"}})

    def cells(body: Json) -> list[Any]:
        return [name_of(body), *(_custom_cell(body, column) for column in given)]

    return columns, cells


def _custom_cell(body: Json, column: Json) -> Any:
    value = next(iter(find(body, column["jsonPath"])), None)
    if value is None:
        return ""
    return duration(since(value)) if column.get("type") == "date" else value


def find(body: Any, path: str) -> Iterator[Any]:
    """The values at a simple JSON path: `.status.conditions[?(@.type=="Ready")].status`."""
    values = [body]
    for step in _steps(path):
        values = [found for value in values for found in _follow(value, step)]
    yield from values


def _steps(path: str) -> Iterator[str]:
    step, depth = "", 0
    for letter in path.strip("{}"):
        depth += (letter == "[") - (letter == "]")
        if letter in ".[" and (depth == 0 or (letter == "[" and depth == 1)):
            if step:
                yield step
            step = letter if letter == "[" else ""
        else:
            step += letter
    if step:
        yield step


def _follow(value: Any, step: str) -> list[Any]:
    if not step.startswith("["):
        return [value[step]] if isinstance(value, dict) and step in value else []
    inner = step.strip("[]")
    if not isinstance(value, list):
        return [value[inner.strip("'")]] if isinstance(value, dict) and inner.strip("'") in value else []
    if inner.startswith("?"):
        name, _, wanted = inner.strip("?()").removeprefix("@.").partition("==")
        return [item for item in value if str(item.get(name.strip())) == wanted.strip().strip("\"'")]
    return value if inner == "*" else value[int(inner) :][:1]
