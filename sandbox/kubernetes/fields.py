"""Sets of fields, as `managedFields` writes them, and what server-side apply does with them.

A set is a dict of dicts: `f:name` is a field, `k:{…}` an item of a list by its keys, `v:…` a member of a set, `.` says
that the place itself belongs to the set; an empty dict is a leaf and belongs to it. The rules are those of
sigs.k8s.io/structured-merge-diff (typed/, merge/update.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.schema import Type

Fields = dict[str, Any]
# Structs that are no pointers in Go, so that the place itself is never added by anyone.
_ALWAYS_THERE = {
    "metadata",
    "spec",
    "status",
    "template",
    "strategy",
    "updateStrategy",
    "resources",
    "jobTemplate",
    "state",
    "lastState",
    "loadBalancer",
    "names",
    "backend",
}
# Of every object, owned by nobody.
_UNOWNED = ("f:apiVersion", "f:kind")
_UNOWNED_METADATA = (
    "f:name",
    "f:namespace",
    "f:uid",
    "f:resourceVersion",
    "f:generation",
    "f:creationTimestamp",
    "f:managedFields",
    "f:selfLink",
)


def without_unowned(fields: Fields) -> Fields:
    """The set without what belongs to the server: names, versions, times."""
    kept = {k: v for k, v in fields.items() if k not in _UNOWNED}
    if metadata := kept.pop("f:metadata", None):
        metadata = {k: v for k, v in metadata.items() if k not in _UNOWNED_METADATA}
        if metadata:
            kept["f:metadata"] = metadata
    return kept


def applied(value: Json, kind: Type) -> Fields:
    """The fields of an applied configuration: its leaves, and the items of its lists."""
    return without_unowned(_members(value, kind, added=False))


def _is_leaf(value: Any, kind: Type) -> bool:
    if isinstance(value, dict):
        return kind.atomic or not value or kind.form not in ("struct", "map", "any", "empty")
    if isinstance(value, list):
        return kind.list_type == "atomic" or kind.form != "list" or not value
    return True


def _members(value: Any, kind: Type, *, added: bool) -> Fields:
    """What is in a value. `added` counts places that hold others, too, as a change that adds them does."""
    if _is_leaf(value, kind):
        return {}
    if isinstance(value, dict):
        return {f"f:{name}": _child(name, below, kind, added=added) for name, below in value.items()}
    return {path: {".": {}, **_members(item, kind.items, added=added)} for path, item in items(value, kind)}


def _child(name: str, value: Any, kind: Type, *, added: bool) -> Fields:
    below = kind.field(name) or kind
    fields = _members(value, below, added=added)
    return {".": {}, **fields} if added and fields and _is_place(name, value, below) else fields


def _is_place(name: str, value: Any, kind: Type) -> bool:
    """Whether the place itself is added with what it holds: maps, lists, and structs behind a pointer."""
    return kind.form == "map" or isinstance(value, list) or name not in _ALWAYS_THERE


def items(value: list[Any], kind: Type) -> Iterator[tuple[str, Any]]:
    """The items of a list that is a map or a set, each with its name."""
    for item in value:
        if kind.list_type == "map":
            yield f"k:{kind.key_of(item)}", item
        else:
            yield f"v:{json.dumps(item)}", item


def compare(old: Any, new: Any, kind: Type) -> tuple[Fields, Fields]:
    """What differs: the fields that are new or have another value, and those that are gone."""
    changed: Fields = {}
    removed: Fields = {}
    if isinstance(old, dict) and isinstance(new, dict):
        pairs_old, pairs_new = old, new
        prefix = "f:"
    else:
        pairs_old, pairs_new, prefix = dict(items(old, kind)), dict(items(new, kind)), ""
    for name, value in pairs_new.items():
        below = (kind.field(name) or kind) if prefix else kind.items
        if name not in pairs_old:
            fields = _members(value, below, added=True)
            whole = not prefix or _is_place(name, value, below)
            changed[prefix + name] = {".": {}, **fields} if fields and whole else fields
        elif (before := pairs_old[name]) is not value and before != value:
            _compare_below(prefix + name, before, value, below, changed, removed)
    for name in pairs_old.keys() - pairs_new.keys():
        below = (kind.field(name) or kind) if prefix else kind.items
        fields = _members(pairs_old[name], below, added=True)
        removed[prefix + name] = {".": {}, **fields} if fields else {}
    return changed, removed


def _compare_below(name: str, old: Any, new: Any, kind: Type, changed: Fields, removed: Fields) -> None:
    same_shape = (isinstance(old, dict) and isinstance(new, dict)) or (
        isinstance(old, list) and isinstance(new, list)
    )
    if not same_shape or (_is_leaf(old, kind) and _is_leaf(new, kind)):
        changed[name] = {}
        return
    added, gone = compare(old, new, kind)
    if added:
        changed[name] = added
    if gone:
        removed[name] = gone


def union(left: Fields, right: Fields) -> Fields:
    """Every field of either set."""
    if not left or not right:
        return {".": {}, **(left or right)} if left or right else {}
    merged = dict(left)
    for path, below in right.items():
        merged[path] = union(merged[path], below) if path in merged and path != "." else below
    return merged


def union_all(sets: list[Fields]) -> Fields:
    """Every field of any of the sets; an empty one is a set without fields here, not a leaf."""
    merged: Fields = {}
    for fields in sets:
        merged = union(merged, fields) if merged and fields else merged or fields
    return merged


def difference(left: Fields, right: Fields) -> Fields:
    """The fields of `left` that are not in `right`."""
    rest: Fields = {}
    for path, below in left.items():
        if path not in right:
            rest[path] = below
        elif path != ".":
            here = {".": {}} if below == {} else below
            there = {".": {}} if right[path] == {} else right[path]
            if kept := difference(here, there):
                rest[path] = {} if kept == {".": {}} else kept
    return rest


def intersection(left: Fields, right: Fields) -> Fields:
    """The fields that are in both sets."""
    both: Fields = {}
    for path, below in left.items():
        if path not in right:
            continue
        here = {".": {}} if below == {} and path != "." else below
        there = {".": {}} if right[path] == {} and path != "." else right[path]
        if path == ".":
            both[path] = {}
        elif kept := intersection(here, there):
            both[path] = {} if kept == {".": {}} else kept
    return both


def paths(fields: Fields, prefix: str = "") -> Iterator[str]:
    """Every field of a set in words, as conflicts name them: `.spec.containers[name="web"].image`."""
    for path, below in sorted(fields.items()):
        if path == ".":
            continue
        here = prefix + _step(path)
        if below == {} or "." in below:
            yield here
        yield from paths(below, here)


def _step(path: str) -> str:
    mark, _, name = path.partition(":")
    if mark == "f":
        return f".{name}"
    if mark == "k":
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(name).items()) + "]"
    return f"[={name}]"


def merge(old: Any, new: Any, kind: Type) -> Any:
    """The old value with an applied one laid over it. Shares what is unchanged."""
    if isinstance(old, dict) and isinstance(new, dict) and not (_is_leaf(new, kind) and new):
        merged = dict(old)
        for name, value in new.items():
            merged[name] = merge(old[name], value, kind.field(name) or kind) if name in old else value
        return merged
    if isinstance(old, list) and isinstance(new, list) and kind.form == "list" and kind.list_type != "atomic":
        return _merge_lists(dict(items(old, kind)), dict(items(new, kind)), kind)
    return new


def _merge_lists(old: dict[str, Any], new: dict[str, Any], kind: Type) -> list[Any]:
    """The applied order goes before the old one; items that only the old list has keep their place."""
    merged: list[Any] = []
    left = list(old)
    for path, value in new.items():
        while left and left[0] != path:
            first = left.pop(0)
            if first not in new:
                merged.append(old[first])
            elif path not in old:  # the next item of both is still to come: what is new goes before it
                left.insert(0, first)
                break
        if left and left[0] == path:
            left.pop(0)
        merged.append(merge(old[path], value, kind.items) if path in old else value)
    return merged + [old[path] for path in left if path not in new]


def prune(value: Any, last: Fields, owned: Fields, kind: Type) -> Any:
    """Without what was applied last time and belongs to nobody now. A place goes with all that it holds."""
    if isinstance(value, dict):
        kept = dict(value)
        for path, below in last.items():
            name = path[2:]
            if path == "." or name not in kept:
                continue
            if path not in owned:
                del kept[name]
            elif below:
                kept[name] = prune(kept[name], below, owned[path], kind.field(name) or kind)
        return kept
    if isinstance(value, list) and kind.form == "list" and kind.list_type != "atomic":
        gone = {path for path in last if path != "." and path not in owned}
        return [
            prune(item, last.get(path) or {}, owned.get(path) or {}, kind.items)
            for path, item in items(value, kind)
            if path not in gone
        ]
    return value
