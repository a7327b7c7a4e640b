"""Field managers: who owns which field after an update, and server-side apply with its conflicts.

(k8s.io/apimachinery/pkg/util/managedfields; the sets themselves are in `fields`.)
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from engine.types import Json
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.fields import (
    Fields,
    applied,
    compare,
    difference,
    intersection,
    merge,
    paths,
    prune,
    union_all,
    without_unowned,
)
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.schema import Type

Entry = dict[str, Any]  # of managedFields


class Manager(NamedTuple):
    """Who writes: `operation` is Update or Apply."""

    name: str
    operation: str = "Update"
    subresource: str = ""


def track_update(old: Json | None, new: Json, kind: Type, manager: Manager) -> list[Entry]:
    """`managedFields` after an update by `manager`. Times change only where sets do."""
    metadata = new.get("metadata") or {}
    before = list(metadata.get("managedFields") or [])
    changed, removed = compare(old or _empty(new), new, kind)
    changed, removed = without_unowned(changed), without_unowned(removed)
    if not changed and not removed:
        return before
    entries, mine = [], None
    for entry in before:
        if _is(entry, manager, new["apiVersion"]):
            mine = entry
            entries.append(_with(entry, union_all([difference(_set(entry), removed), changed])))
        else:
            entries.append(_with(entry, difference(difference(_set(entry), changed), removed)))
    if mine is None and changed:
        entries.append(_new_entry(manager, new["apiVersion"], changed))
    return _sorted([entry for entry in entries if entry["fieldsV1"]])


def _sorted(entries: list[Entry]) -> list[Entry]:
    """In the server's order: appliers first, then by time."""
    return sorted(entries, key=lambda e: (e["operation"], e.get("time") or "", e["manager"]))


def _empty(new: Json) -> Json:
    """What an object is before its first field: structs that are no pointers are there already."""
    return {
        "apiVersion": new.get("apiVersion"),
        "kind": new.get("kind"),
        "metadata": {},
        "spec": {},
        "status": {},
    }


def apply(
    live: Json | None, config: Json, kind: Type, manager: Manager, *, force: bool
) -> tuple[Json, list[Entry]]:
    """The merged object and its `managedFields`. Raises Refused for conflicts that are not forced."""
    wanted = applied(config, kind)
    version = config["apiVersion"]
    if live is None:
        return config, [_new_entry(manager, version, wanted)] if wanted else []
    before = list(live["metadata"].get("managedFields") or [])
    mine = next((e for e in before if _is(e, manager, version)), None)
    others = [e for e in before if e is not mine]
    merged = merge(live, config, kind)
    changed = without_unowned(compare(live, merged, kind)[0])
    clashes = [(e, clash) for e in others if (clash := intersection(_set(e), changed))]
    if clashes and not force:
        raise conflicts(clashes)
    lost = union_all([clash for _, clash in clashes])
    others = [_with(e, difference(_set(e), lost)) for e in others] if lost else others
    if mine is not None:
        owned = union_all([wanted, *(_set(e) for e in others)])
        merged = prune(merged, _set(mine), owned, kind)
    entries = [e for e in others if e["fieldsV1"]]
    if wanted:
        entries.append(_with(mine, wanted) if mine is not None else _new_entry(manager, version, wanted))
    return merged, _sorted(entries)


def conflicts(clashes: list[tuple[Entry, Fields]]) -> Refused:
    """409 that names every field and who owns it."""
    by_manager: dict[str, list[str]] = defaultdict(list)
    for entry, clash in clashes:
        by_manager[_who(entry)] += list(paths(clash))
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": field}
        for who, found in sorted(by_manager.items())
        for field in found
    ]
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = [
            line
            for who, found in sorted(by_manager.items())
            for line in (f"conflicts with {who}:", *_listed(found))
        ]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return Refused(409, "Conflict", text, {"causes": causes})


def _listed(found: list[str]) -> list[str]:
    return [f"- {field}" for field in found]


def _who(entry: Entry) -> str:
    text = f'"{entry["manager"]}"'
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return text if entry["operation"] == "Apply" else f"{text} using {entry['apiVersion']}"


def _is(entry: Entry, manager: Manager, version: str) -> bool:
    name, operation, subresource = manager
    found = (entry["manager"], entry["operation"], entry.get("subresource", ""))
    return found == (name, operation, subresource) and (
        operation == "Apply" or entry["apiVersion"] == version
    )


def _set(entry: Entry) -> Fields:
    return entry.get("fieldsV1") or {}


def _with(entry: Entry, fields: Fields) -> Entry:
    """The entry with another set; the same entry when that is the same set."""
    return entry if fields == _set(entry) else {**entry, "time": stamp(), "fieldsV1": fields}


def _new_entry(manager: Manager, version: str, fields: Fields) -> Entry:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": version,
        "time": stamp(),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry
