"""Sets of fields, as `managedFields` writes them, and what server-side apply does with them.

A set is a set of paths; a path is a tuple of steps: `f:name` is a field, `k:{…}` an item of a list by its keys, `v:…` a
member of a list that is a set. A place and what it holds are members of their own. The rules are those of
sigs.k8s.io/structured-merge-diff (typed/, merge/update.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.schema import Type

Path = tuple[str, ...]
Fields = set[Path]
_NO_POINTERS = (  # in Go: such structs are always there, nobody adds them
    "metadata spec status template strategy updateStrategy resources jobTemplate state lastState "
    "loadBalancer names backend"
)
_ALWAYS_THERE = {f"f:{name}" for name in _NO_POINTERS.split()}
_SERVERS = "name namespace uid resourceVersion generation creationTimestamp managedFields selfLink"
_METADATA = ("f:metadata",)
_UNOWNED = {("f:apiVersion",), ("f:kind",), _METADATA, *((*_METADATA, f"f:{n}") for n in _SERVERS.split())}


def read(node: Json, at: Path = ()) -> Fields:
    """The set that a `fieldsV1` says: there `.` is the place itself, and an empty object a place that holds nothing."""
    found: Fields = set()
    for step, below in node.items():
        path = at if step == "." else (*at, step)
        found |= read(below, path) if below else {path}
    return found


def written(fields: Fields) -> Json:
    """A set as a `fieldsV1`."""
    root: Json = {}
    for path in sorted(fields):
        node = root
        for depth, step in enumerate(path):
            if not node and path[:depth] in fields:
                node["."] = {}
            node = node.setdefault(step, {})
    return root


def in_words(fields: Fields) -> list[str]:
    """Every field as conflicts name them: `.spec.containers[name="web"].image`."""
    return ["".join(_step(step) for step in path) for path in sorted(fields)]


def _step(step: str) -> str:
    mark, _, name = step.partition(":")
    if mark == "k":
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(name).items()) + "]"
    return f".{name}" if mark == "f" else f"[={name}]"


def ancestors(fields: Fields) -> Fields:
    """The fields and every place above them, but for the metadata, which is always there."""
    return {path[:depth] for path in fields for depth in range(1, len(path) + 1)} - {_METADATA}


def _owned(fields: Iterable[Path]) -> Fields:
    """Without what belongs to the server: names, versions, times."""
    return {path for path in fields if path[:2] not in _UNOWNED}


def applied(value: Json, kind: Type) -> Fields:
    """The fields of an applied configuration: its leaves, and the items of its lists."""
    return _owned(_members(value, kind, (), added=False))


def _is_leaf(value: Any, kind: Type) -> bool:
    """Whether it is owned as a whole."""
    if isinstance(value, dict):
        return kind.atomic or not value or kind.form not in ("struct", "map", "any", "empty")
    return not (isinstance(value, list) and value and _merges(kind))


def _merges(kind: Type) -> bool:
    return kind.form == "list" and kind.list_type != "atomic"


def _children(value: Any, kind: Type) -> list[tuple[str, tuple[Any, Type]]]:
    """The steps to what a value holds, each with that and its type."""
    if isinstance(value, dict):
        return [(f"f:{name}", (below, kind.field(name) or kind)) for name, below in value.items()]
    if kind.list_type == "map":
        return [(f"k:{kind.key_of(item)}", (item, kind.items)) for item in value]
    return [(f"v:{json.dumps(item)}", (item, kind.items)) for item in value]


def _members(value: Any, kind: Type, at: Path, *, added: bool) -> Iterator[Path]:
    """What is in a value. `added` counts places that hold others, too: maps, lists, structs behind a pointer."""
    leaf = _is_leaf(value, kind)
    if leaf or (at and (at[-1][0] != "f" or (added and (kind.form == "map" or at[-1] not in _ALWAYS_THERE)))):
        yield at
    if not leaf:
        for step, (below, inner) in _children(value, kind):
            yield from _members(below, inner, (*at, step), added=added)


def compare(old: Json, new: Json, kind: Type) -> tuple[Fields, Fields]:
    """What differs: the fields that are new or have another value, and those that are gone."""
    changed: list[Path] = []
    removed: list[Path] = []
    _compare(old, new, kind, (), changed, removed)
    return _owned(changed), _owned(removed)


def _compare(old: Any, new: Any, kind: Type, at: Path, changed: list[Path], removed: list[Path]) -> None:
    if old is new or old == new:
        return
    if type(old) is not type(new) or (_is_leaf(old, kind) and _is_leaf(new, kind)):
        changed.append(at)
        return
    before, after = dict(_children(old, kind)), dict(_children(new, kind))
    for step, (value, inner) in after.items():
        if step in before:
            _compare(before[step][0], value, inner, (*at, step), changed, removed)
        else:
            changed += _members(value, inner, (*at, step), added=True)
    for step in before.keys() - after.keys():
        removed += _members(*before[step], (*at, step), added=True)


def merge(old: Any, new: Any, kind: Type) -> Any:
    """The old value with an applied one laid over it. Shares what is unchanged."""
    if isinstance(old, dict) and isinstance(new, dict) and not (new and _is_leaf(new, kind)):
        both = {k: merge(old[k], v, kind.field(k) or kind) if k in old else v for k, v in new.items()}
        return {**old, **both}
    if isinstance(old, list) and isinstance(new, list) and _merges(kind):
        return _merge_items(dict(_children(old, kind)), dict(_children(new, kind)))
    return new


def _merge_items(old: dict[str, tuple[Any, Type]], new: dict[str, tuple[Any, Type]]) -> list[Any]:
    """The applied order goes before the old one; items that only the old list has keep their place."""
    merged: list[Any] = []
    left = list(old)
    for step, (value, kind) in new.items():
        while left and left[0] != step and (step in old or left[0] not in new):
            first = left.pop(0)
            if first not in new:
                merged.append(old[first][0])
        if left[:1] == [step]:
            del left[0]
        merged.append(merge(old[step][0], value, kind) if step in old else value)
    return merged + [old[step][0] for step in left if step not in new]


def prune(value: Any, gone: Fields, kind: Type, at: Path = ()) -> Any:
    """Without some places. A place goes with all that it holds."""
    if not isinstance(value, dict | list) or _is_leaf(value, kind):
        return value
    kept = [
        (step[2:], prune(below, gone, inner, (*at, step)))
        for step, (below, inner) in _children(value, kind)
        if (*at, step) not in gone
    ]
    return dict(kept) if isinstance(value, dict) else [below for _, below in kept]
