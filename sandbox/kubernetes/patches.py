"""What an update makes of an object: a replacement, or a patch of three types (the fourth, apply, is in `apply`)."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from engine.types import Json
from sandbox.kubernetes import decoding
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.operations import Change
from sandbox.kubernetes.refusals import Refused, bad_request
from sandbox.kubernetes.requests import Request
from sandbox.kubernetes.schema import ANY, Type

_JSON, _STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
_REPLACE = {"$patch": "replace"}


def change_of(request: Request, kind: Kind) -> Change:
    """The change that the body of a PUT or PATCH describes (any but apply), to objects of a kind. Raises Refused."""
    if request.method == "PUT":
        body = decoding.read(request, kind)
        return lambda _old: body
    media = request.content_type
    if media not in _PATCHES or (kind.custom and media == _STRATEGIC):
        raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    patch, _ = decoding.parse(request, list if media == _JSON else dict)

    def change(old: Json) -> Json:
        new = _PATCHES[media](old, patch, kind.type)
        if not isinstance(new, dict):
            raise bad_request("the patched object is no object")
        return decoding.checked(new, kind, request)

    return change


def json_patch(value: Any, patch: Any, kind: Type) -> Any:
    """RFC 6902. Raises Refused."""
    try:
        return jsonpatch.apply_patch(value, patch)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError) as error:
        message = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", message, {}) from error


def merge_patch(value: Any, patch: Any, kind: Type = ANY) -> Any:
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


def strategic_patch(value: Any, patch: Any, kind: Type) -> Any:
    """Kubernetes' own: lists merge by key where the type says so; directives begin with `$`."""
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    keep = patch.get("$retainKeys")
    merged = {k: v for k, v in (value or {}).items() if keep is None or k in keep}
    for name, new in patch.items():
        directive, _, about = name.partition("/")
        if directive == "$deleteFromPrimitiveList":
            merged[about] = [x for x in merged.get(about) or [] if x not in new]
        elif name.startswith("$"):
            continue
        elif new is None or (isinstance(new, dict) and new.get("$patch") == "delete"):
            merged.pop(name, None)
        else:
            order = patch.get(f"$setElementOrder/{name}") or []
            merged[name] = _strategic_value(merged.get(name), new, kind.field(name) or ANY, order)
    return merged


def _strategic_value(old: Any, new: Any, kind: Type, order: list[Any]) -> Any:
    if isinstance(new, dict):
        return strategic_patch(old if isinstance(old, dict) else {}, new, kind)
    if not isinstance(new, list) or "merge" not in kind.patch_strategy:
        return new
    if not kind.merge_key:
        return list(dict.fromkeys([*(old or []), *new]))
    merged = _merged_items([] if _REPLACE in new else list(old or []), new, kind)
    wanted = [item.get(kind.merge_key) for item in order if isinstance(item, dict)]
    places = {name: place for place, name in enumerate(wanted)}
    return sorted(merged, key=lambda item: places.get(item.get(kind.merge_key), len(wanted)))


def _merged_items(merged: list[Any], new: list[Any], kind: Type) -> list[Any]:
    key = kind.merge_key
    for item in new:
        if item == _REPLACE:
            continue
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((i for i, found in enumerate(merged) if found.get(key) == item[key]), len(merged))
        here = strategic_patch(merged[place] if place < len(merged) else {}, item, kind.items)
        merged[place : place + 1] = [] if item.get("$patch") == "delete" else [here]
    return merged


_PATCHES = {_JSON: json_patch, "application/merge-patch+json": merge_patch, _STRATEGIC: strategic_patch}
