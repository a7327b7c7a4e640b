"""Types of objects: which fields a kind has, and how its lists and maps merge.

Built-in kinds are read from the definitions that the package kubernetes-validate carries (Kubernetes' own OpenAPI
document); custom ones from their CustomResourceDefinition. Types are made when they are first looked at.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from engine.types import Json

_SOURCE = "kubernetes-json-schema/v1.37.0-local/_definitions.json"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KEY_DEFAULTS = {"protocol": "TCP"}  # of list keys: the definitions leave them out
_ANYTHING = ("RawExtension", "FieldsV1", "JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool")
_FORMS = {"IntOrString": "int-or-string", "Quantity": "quantity", **dict.fromkeys(_ANYTHING, "any")}


@cache
def definitions() -> dict[str, Json]:
    """Kubernetes' definitions by name, without their descriptions: those are most of it."""
    found: dict[str, Json] = _without_descriptions(described_definitions())
    return found


def _without_descriptions(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_descriptions(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {k: _without_descriptions(v) for k, v in node.items() if k != "description" or isinstance(v, dict)}


def described_definitions() -> dict[str, Json]:
    """The definitions as they are, read anew."""
    spec = importlib.util.find_spec("kubernetes_validate")  # not imported: that takes a third of a second
    assert spec is not None
    assert spec.origin is not None
    found: dict[str, Json] = json.loads((Path(spec.origin).parent / _SOURCE).read_bytes())["$defs"]
    return found


@cache
def definition_names() -> dict[tuple[str, str, str], str]:
    """The definition of each group, version and kind."""
    names: dict[tuple[str, str, str], str] = {}
    for name, node in definitions().items():
        for gvk in node.get("x-kubernetes-group-version-kind") or []:
            names.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)
    return names


class Type:
    """One place in an object. `form`: struct, map, list, string, integer, number, boolean, quantity, int-or-string, any.

    `schema` is its OpenAPI schema. `list_type`: atomic, set or map (then `keys` name an item). `atomic` structs and maps
    are owned as a whole. `patch_strategy` and `merge_key` are those of strategic merge patches.
    """

    def __init__(self, node: Json, *, name: str = "") -> None:
        reference = node.get("$ref", "").rpartition("/")[2]
        self.schema: Json = definitions()[reference] if reference else node
        self.name = reference.rpartition(".")[2] or name
        self.form = _FORMS.get(self.name) or _form(self.schema) if reference else _form(node)
        hints = {**self.schema, **node}
        self.list_type = hints.get("x-kubernetes-list-type") or "atomic"
        self.keys: tuple[str, ...] = tuple(sorted(hints.get("x-kubernetes-list-map-keys") or ()))
        self.atomic = hints.get("x-kubernetes-map-type") == "atomic"
        self.patch_strategy = str(hints.get("x-kubernetes-patch-strategy") or "")
        self.merge_key = str(hints.get("x-kubernetes-patch-merge-key") or "")
        self.int_format = str(self.schema.get("format") or "")
        self._fields: dict[str, Type | None] = {}

    def field(self, name: str) -> Type | None:
        """The type of a field of a struct, or of a value of a map; None when there is no such field."""
        if name not in self._fields:
            self._fields[name] = self._make(name)
        return self._fields[name]

    def _make(self, name: str) -> Type | None:
        node = (self.schema.get("properties") or {}).get(name)
        if node is None and self.form == "map":
            node, name = self.schema["additionalProperties"], ""
        if node is not None:
            return Type(node, name=name) if isinstance(node, dict) else ANY
        return ANY if self.form == "any" or self.schema.get("x-kubernetes-preserve-unknown-fields") else None

    @cached_property
    def items(self) -> Type:
        """The type of a list's items."""
        node = self.schema.get("items")
        return Type(node, name=self.name) if node else ANY

    def key_of(self, item: Any) -> str:
        """How an item of a list that is a map is named, as in `{"name":"web"}`."""
        values = [(k, item.get(k, _KEY_DEFAULTS.get(k))) for k in self.keys] if isinstance(item, dict) else []
        return "{" + ",".join(f'"{k}":{json.dumps(v)}' for k, v in values if v is not None) + "}"


def _form(node: Json) -> str:
    kind = node.get("type")
    kind = next((k for k in kind if k != "null"), None) if isinstance(kind, list) else kind
    if node.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    if node.get("properties"):
        return "struct"
    if kind == "object" and "additionalProperties" in node:
        return "map"
    if kind == "object":
        return "any" if node.get("x-kubernetes-preserve-unknown-fields") else "empty"
    return "list" if kind == "array" else str(kind or "any")


ANY = Type({})


def drop_empty(value: Any, kind: Type) -> None:
    """Takes empty maps and lists out of a built-in object, in place: Go writes them as if they were not there."""
    if isinstance(value, list):
        for item in value:
            drop_empty(item, kind.items)
    elif isinstance(value, dict):
        for name in [n for n, v in value.items() if isinstance(v, dict | list) and n != "managedFields"]:
            below = kind.field(name) or ANY
            if value[name]:
                drop_empty(value[name], below)
            elif below.form in ("map", "list"):
                del value[name]


@cache
def built_in_type(group: str, version: str, kind: str) -> Type:
    """The type of a built-in kind's objects. Raises KeyError for others."""
    return Type({"$ref": f"#/$defs/{definition_names()[group, version, kind]}"})


def type_of_definition(kind: str, schema: Json) -> Type:
    """The type of a custom kind's objects: its schema, and the metadata that all objects have."""
    text = {"type": "string"}
    properties = {"apiVersion": text, "kind": text, **(schema.get("properties") or {})}
    properties["metadata"] = {"$ref": f"#/$defs/{_META}"}
    return Type({**schema, "type": "object", "properties": properties}, name=kind)
