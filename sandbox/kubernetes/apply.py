"""Field managers: the owners of each field after an update, and server-side apply with its conflicts.

A set of fields is a set of paths; a path is a tuple of steps: `f:name` is a field, `k:{…}` an item of a list by its keys,
`v:…` a member of a list that is a set. A place and what it holds are members of their own. The rules are those of
sigs.k8s.io/structured-merge-diff (typed/, merge/update.go) and k8s.io/apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from engine.types import Json
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.schema import Type

Path = tuple[str, ...]
Fields = set[Path]
Entry = dict[str, Any]  # of managedFields
Claim = tuple[Entry, Fields]
# Structs that are no pointers in Go: they are always there, nobody adds them.
_STRUCTS = "metadata spec status template strategy updateStrategy resources jobTemplate state lastState names backend"
_ALWAYS_THERE = {"f:loadBalancer", *(f"f:{name}" for name in _STRUCTS.split())}
_NOTHING: Json = {"metadata": {}, "spec": {}, "status": {}}
_SERVERS = "name namespace uid resourceVersion generation creationTimestamp managedFields selfLink"
_METADATA = ("f:metadata",)
_UNOWNED = {("f:apiVersion",), ("f:kind",), _METADATA, *((*_METADATA, f"f:{n}") for n in _SERVERS.split())}


class Manager(NamedTuple):
    """The writer of a change. `operation`: Update or Apply."""

    name: str
    operation: str = "Update"
    subresource: str = ""


def track_update(old: Json | None, new: Json, kind: Type, manager: Manager) -> list[Entry]:
    """`managedFields` after an update by `manager`. Times change only where sets do."""
    before = list(new["metadata"].get("managedFields") or [])
    changed, removed = _differences(old or _NOTHING, new, kind)
    if not changed and not removed:
        return before
    (mine, had), others = _claims(before, manager, new["apiVersion"])
    entries = [_with(entry, owned, owned - removed - changed) for entry, owned in others]
    return _sorted([*entries, _with(mine, had, (had - removed) | changed)])


def apply(
    live: Json | None, config: Json, kind: Type, manager: Manager, *, force: bool
) -> tuple[Json, list[Entry]]:
    """The merged object and its `managedFields`. Raises Refused for conflicts that are not forced."""
    before = live["metadata"].get("managedFields") if live else None
    (mine, had), others = _claims(before or [], manager, config["apiVersion"])
    wanted = _applied(config, kind)
    if live is None:
        return config, _sorted([_with(mine, had, wanted)])
    merged = _merge(live, config, kind)
    changed, _ = _differences(live, merged, kind)
    clashes = [(entry, clash) for entry, owned in others if (clash := owned & changed)]
    if clashes and not force:
        raise _conflicts(clashes)
    others = [(_with(entry, owned, owned - changed), owned - changed) for entry, owned in others]
    held = wanted.union(*(owned for _, owned in others))
    if dropped := had - held:
        merged = _prune(merged, _ancestors(dropped) - _ancestors(held), kind)
    return merged, _sorted([*(entry for entry, _ in others), _with(mine, had, wanted)])


def _claims(before: list[Entry], manager: Manager, version: str) -> tuple[Claim, list[Claim]]:
    """The manager's own entry, an empty one if there is none, and those of others, each with its set."""
    mine: Entry = {"manager": manager.name, "operation": manager.operation, "apiVersion": version}
    if manager.subresource:
        mine["subresource"] = manager.subresource
    others = []
    for entry in before:
        who = (entry.get("manager"), entry.get("operation"), entry.get("subresource", ""))
        if who == tuple(manager) and (manager.operation == "Apply" or entry["apiVersion"] == version):
            mine = entry
        else:
            others.append((entry, set(_read(entry.get("fieldsV1") or {}))))
    return (mine, set(_read(mine.get("fieldsV1") or {}))), others


def _with(entry: Entry, before: Fields, after: Fields) -> Entry:
    """The entry with another set; the same entry when that is the same set."""
    if before == after:
        return entry
    return {**entry, "time": stamp(), "fieldsType": "FieldsV1", "fieldsV1": _written(after)}


def _sorted(entries: list[Entry]) -> list[Entry]:
    """Those that own something, in the server's order: appliers first, then by time."""
    owners = [entry for entry in entries if entry.get("fieldsV1")]
    return sorted(owners, key=lambda e: (e["operation"], e.get("time") or "", e["manager"]))


def _conflicts(clashes: list[Claim]) -> Refused:
    """The refusal (409) that names every field in conflict with its owner."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry, clash in clashes:
        found[_who(entry)] += _in_words(clash)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": field}
        for who in sorted(found)
        for field in found[who]
    ]
    text = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    if len(causes) > 1:
        blocks = ["\n- ".join([f"conflicts with {who}:", *found[who]]) for who in sorted(found)]
        text = f"{len(causes)} conflicts: " + "\n".join(blocks)
    return Refused(409, "Conflict", f"Apply failed with {text}", {"causes": causes})


def _who(entry: Entry) -> str:
    text = f'"{entry["manager"]}"'
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return text if entry["operation"] == "Apply" else f"{text} using {entry['apiVersion']}"


# --- sets of fields --------------------------------------------------------------------------------------------------


def _read(node: Json, at: Path = ()) -> list[Path]:
    """The paths in a `fieldsV1`. There `.` stands for the place itself, and an empty object for a place without members."""
    found: list[Path] = []
    for step, below in node.items():
        path = at if step == "." else (*at, step)
        found += _read(below, path) if below else [path]
    return found


def _written(fields: Fields) -> Json:
    """A set as a `fieldsV1`."""
    root: Json = {}
    for path in sorted(fields):
        node = root
        for depth, step in enumerate(path):
            if not node and path[:depth] in fields:
                node["."] = {}
            node = node.setdefault(step, {})
    return root


def _in_words(fields: Fields) -> list[str]:
    """Every field as conflicts name them: `.spec.containers[name="web"].image`."""
    return ["".join(_step(step) for step in path) for path in sorted(fields)]


def _step(step: str) -> str:
    mark, _, name = step.partition(":")
    if mark == "k":
        return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(name).items()) + "]"
    return f".{name}" if mark == "f" else f"[={name}]"


def _ancestors(fields: Fields) -> Fields:
    """The fields and every place above them, but for the metadata, which is always there."""
    return {path[:depth] for path in fields for depth in range(1, len(path) + 1)} - {_METADATA}


def _owned(fields: Iterable[Path]) -> Fields:
    """The fields without those that the server owns: names, versions, times."""
    return {path for path in fields if path[:2] not in _UNOWNED}


def _applied(value: Json, kind: Type) -> Fields:
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
    """The members of a value: for each its step, its value and its type."""
    if isinstance(value, dict):
        return [(f"f:{name}", (below, kind.field(name) or kind)) for name, below in value.items()]
    if kind.list_type == "map":
        return [(f"k:{kind.key_of(item)}", (item, kind.items)) for item in value]
    return [(f"v:{json.dumps(item)}", (item, kind.items)) for item in value]


def _members(value: Any, kind: Type, at: Path, *, added: bool) -> list[Path]:
    """The paths in a value. `added`: also the places that hold others (maps, lists, structs behind a pointer)."""
    if _is_leaf(value, kind):
        return [at]
    counts = at and (at[-1][0] != "f" or (added and (kind.form == "map" or at[-1] not in _ALWAYS_THERE)))
    found = [at] if counts else []
    for step, (below, inner) in _children(value, kind):
        found += _members(below, inner, (*at, step), added=added)
    return found


def _differences(old: Json, new: Json, kind: Type) -> tuple[Fields, Fields]:
    """The fields that are new or have another value, and the fields that were removed."""
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


def _merge(old: Any, new: Any, kind: Type) -> Any:
    """The old value with an applied one laid over it. It shares unchanged parts with the old one."""
    if isinstance(old, dict) and isinstance(new, dict) and not (new and _is_leaf(new, kind)):
        both = {k: _merge(old[k], v, kind.field(k) or kind) if k in old else v for k, v in new.items()}
        return {**old, **both}
    if isinstance(old, list) and isinstance(new, list) and _merges(kind):
        return _merge_items(dict(_children(old, kind)), dict(_children(new, kind)))
    return new


def _merge_items(old: dict[str, tuple[Any, Type]], new: dict[str, tuple[Any, Type]]) -> list[Any]:
    """Merges two lists. The applied order wins; items that only the old list has keep their places."""
    merged: list[Any] = []
    left = list(old)
    for step, (value, kind) in new.items():
        while left and left[0] != step and (step in old or left[0] not in new):
            first = left.pop(0)
            if first not in new:
                merged.append(old[first][0])
        if left[:1] == [step]:
            del left[0]
        merged.append(_merge(old[step][0], value, kind) if step in old else value)
    return merged + [old[step][0] for step in left if step not in new]


def _prune(value: Any, gone: Fields, kind: Type, at: Path = ()) -> Any:
    """The value without the places in `gone` and all their members."""
    if not isinstance(value, dict | list) or _is_leaf(value, kind):
        return value
    kept = [
        (step[2:], _prune(below, gone, inner, (*at, step)))
        for step, (below, inner) in _children(value, kind)
        if (*at, step) not in gone
    ]
    return dict(kept) if isinstance(value, dict) else [below for _, below in kept]
