"""Sets of fields as `metadata.managedFields` writes them (FieldsV1), and operations on them.

`f:name` is a member of a mapping, `k:{...}` an item of a list by its keys, `v:...` a member of a list that is a set, `.` the
place itself. An empty set under a name means the whole of what stands there.
"""

from __future__ import annotations

import json
from typing import Any

from engine.types import Json


def field_set(*names: str) -> Json:
    """The set of one field, by the names on the way to it."""
    found: Json = {}
    for name in reversed(names):
        found = {f"f:{name}": found}
    return found


def holds(fields: Json, *names: str) -> bool:
    """Whether a set has the field, or anything in it."""
    for name in names:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True


def without_fields(result: Json, dropped: Json, fresh: Json) -> Json:
    """The object after a first deploy: the result of a dry run (which does not include the take-over) without the
    dropped fields.

    `fresh` is the manifest as the server would complete it if the object were new: predecessors often own the
    server's defaults, too, and those come back.
    """
    copy: Json = json.loads(json.dumps(result))
    _remove(copy, dropped, fresh)
    return copy


def with_fields(body: Json, fields: Json, source: Json) -> Json:
    """The object with the values of these fields from `source`, as server-side apply would set them."""
    copy: Json = json.loads(json.dumps(body))
    _lay_over(copy, fields, source)
    return copy


def union(left: Json, right: Json) -> Json:
    """The union of two field sets."""
    merged = dict(left)
    for key, fields in right.items():
        merged[key] = union(merged.get(key) or {}, fields)
    return merged


def difference(left: Json, right: Json) -> Json:
    """The fields of `left` that are not in `right`."""
    rest: Json = {}
    for key, fields in left.items():
        if key not in right:
            rest[key] = fields
        elif fields and (below := difference(fields, right[key])):
            rest[key] = below
    return rest


def _remove(value: Any, fields: Json, fresh: Any) -> None:
    """Take the fields out of a value, in place. `f:` names a member, `k:` an item by its keys, `v:` a member of
    a set."""
    for path, below in fields.items():
        kind, _, name = path.partition(":")
        if kind == "f" and isinstance(value, dict) and name in value:
            _remove_at(value, name, below, fresh.get(name) if isinstance(fresh, dict) else None)
        elif kind == "k" and isinstance(value, list):
            keys = json.loads(name)
            new = next((item for item in _items(fresh) if _matches(item, keys)), None)
            for index in reversed([i for i, item in enumerate(value) if _matches(item, keys)]):
                _remove_at(value, index, below, new)
        elif kind == "v" and isinstance(value, list):
            member = json.loads(name)
            value[:] = [item for item in value if item != member or item in _items(fresh)]


def _remove_at(container: Any, key: str | int, below: Json, fresh: Any) -> None:
    """Removes a leaf, or gives it the value that a new object has. Removes a mapping or list when nothing is left in it."""
    if not below or not isinstance(container[key], dict | list):
        if fresh is None:
            del container[key]
        else:
            container[key] = fresh
        return
    _remove(container[key], below, fresh)
    if not container[key] and not fresh:
        del container[key]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _matches(item: Any, keys: Json) -> bool:
    return isinstance(item, dict) and all(item.get(key) == value for key, value in keys.items())


def _lay_over(value: Any, fields: Json, source: Any) -> None:
    """Sets the fields in a value, in place."""
    for path, below in fields.items():
        kind, _, name = path.partition(":")
        if kind == "f" and isinstance(value, dict) and isinstance(source, dict) and name in source:
            if below and isinstance(value.get(name), dict | list):
                _lay_over(value[name], below, source[name])
            else:
                value[name] = source[name]
        elif kind == "k" and isinstance(value, list):
            _lay_item_over(value, json.loads(name), below, source)
        elif kind == "v" and isinstance(value, list) and json.loads(name) not in value:
            value.append(json.loads(name))


def _lay_item_over(items: list[Any], keys: Json, below: Json, source: Any) -> None:
    new = next((item for item in _items(source) if _matches(item, keys)), None)
    old = next((item for item in items if _matches(item, keys)), None)
    if old is None and new is not None:
        items.append(new)
    elif new is not None:
        _lay_over(old, below, new)
