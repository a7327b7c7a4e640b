"""Field managers: who owns which field after an update, and server-side apply with its conflicts.

(k8s.io/apimachinery/pkg/util/managedfields; the sets themselves are in `fields`.)
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from engine.types import Json
from sandbox.kubernetes import fields
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.fields import Fields
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.schema import Type

Entry = dict[str, Any]  # of managedFields
Claim = tuple[Entry, Fields]
_EMPTY: Json = {
    "metadata": {},
    "spec": {},
    "status": {},
}  # before its first field: structs that are no pointers in Go


class Manager(NamedTuple):
    """Who writes: `operation` is Update or Apply."""

    name: str
    operation: str = "Update"
    subresource: str = ""


def track_update(old: Json | None, new: Json, kind: Type, manager: Manager) -> list[Entry]:
    """`managedFields` after an update by `manager`. Times change only where sets do."""
    before = list(new["metadata"].get("managedFields") or [])
    changed, removed = fields.compare(old or _EMPTY, new, kind)
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
    wanted = fields.applied(config, kind)
    if live is None:
        return config, _sorted([_with(mine, had, wanted)])
    merged = fields.merge(live, config, kind)
    changed, _ = fields.compare(live, merged, kind)
    clashes = [(entry, clash) for entry, owned in others if (clash := owned & changed)]
    if clashes and not force:
        raise _conflicts(clashes)
    others = [(_with(entry, owned, owned - changed), owned - changed) for entry, owned in others]
    held = wanted.union(*(owned for _, owned in others))
    if dropped := had - held:
        merged = fields.prune(merged, fields.ancestors(dropped) - fields.ancestors(held), kind)
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
            others.append((entry, fields.read(entry.get("fieldsV1") or {})))
    return (mine, fields.read(mine.get("fieldsV1") or {})), others


def _with(entry: Entry, before: Fields, after: Fields) -> Entry:
    """The entry with another set; the same entry when that is the same set."""
    if before == after:
        return entry
    return {**entry, "time": stamp(), "fieldsType": "FieldsV1", "fieldsV1": fields.written(after)}


def _sorted(entries: list[Entry]) -> list[Entry]:
    """Those that own something, in the server's order: appliers first, then by time."""
    owners = [entry for entry in entries if entry.get("fieldsV1")]
    return sorted(owners, key=lambda e: (e["operation"], e.get("time") or "", e["manager"]))


def _conflicts(clashes: list[Claim]) -> Refused:
    """409 that names every field and who owns it."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry, clash in clashes:
        found[_who(entry)] += fields.in_words(clash)
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
