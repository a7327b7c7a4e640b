"""The three patch types beside server-side apply: JSON patch, JSON merge patch, strategic merge patch."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from sandbox.kubernetes.refusals import Refused, bad_request
from sandbox.kubernetes.schema import ANY, Type

_DIRECTIVES = ("$patch", "$retainKeys")
_REPLACE = {"$patch": "replace"}


def json_patch(value: Any, patch: Any) -> Any:
    """RFC 6902. Raises Refused."""
    if not isinstance(patch, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    try:
        return jsonpatch.apply_patch(value, patch)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError) as error:
        message = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", message, {}) from error


def merge_patch(value: Any, patch: Any) -> Any:
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


def strategic_patch(value: Any, patch: dict[str, Any], kind: Type) -> Any:
    """Kubernetes' own: lists merge by key where the type says so; directives begin with `$`."""
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    merged = dict(value) if isinstance(value, dict) else {}
    if "$retainKeys" in patch:
        merged = {k: v for k, v in merged.items() if k in patch["$retainKeys"]}
    for name, new in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            merged[field] = [x for x in merged.get(field) or [] if x not in new]
        elif name in _DIRECTIVES or name.startswith("$setElementOrder/"):
            continue
        elif new is None or (isinstance(new, dict) and new.get("$patch") == "delete"):
            merged.pop(name, None)
        else:
            order = patch.get(f"$setElementOrder/{name}")
            merged[name] = _strategic_value(merged.get(name), new, kind.field(name) or ANY, order)
    return merged


def _strategic_value(old: Any, new: Any, kind: Type, order: list[Any] | None) -> Any:
    if isinstance(new, dict):
        return strategic_patch(old, new, kind)
    if isinstance(new, list) and "merge" in kind.patch_strategy:
        if kind.merge_key:
            return _merge_items(list(old or []), new, kind, order)
        return list(dict.fromkeys([*(old or []), *new]))
    return new


def _merge_items(old: list[Any], new: list[Any], kind: Type, order: list[Any] | None) -> list[Any]:
    key = kind.merge_key
    merged = [] if _REPLACE in new else old
    for item in new:
        if item == _REPLACE:
            continue
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((i for i, found in enumerate(merged) if found.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [found for found in merged if found.get(key) != item[key]]
        elif place is None:
            merged.append(strategic_patch({}, item, kind.items))
        else:
            merged[place] = strategic_patch(merged[place], item, kind.items)
    if order:
        wanted = [item.get(key) for item in order if isinstance(item, dict)]
        merged.sort(key=lambda item: wanted.index(item[key]) if item[key] in wanted else len(wanted))
    return merged
