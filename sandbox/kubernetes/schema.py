"""Types of objects: which fields a kind has, and how its lists and maps merge.

Built-in kinds are read from the definitions that the package kubernetes-validate carries (Kubernetes' own OpenAPI
document); custom ones from their CustomResourceDefinition. Types are made when they are first looked at.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from engine.types import Json

_SOURCE = "kubernetes-json-schema/v1.37.0-local/_definitions.json"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
KEY_DEFAULTS = {"protocol": "TCP"}  # of list keys: the definitions leave them out
_ANYTHING = ("RawExtension", "FieldsV1", "JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool")


@cache
def definitions() -> dict[str, Json]:
    """Kubernetes' definitions by name, without their descriptions: those are most of it."""
    found: dict[str, Json] = _without_descriptions(described_definitions())
    return found


def _without_descriptions(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            k: _without_descriptions(v) for k, v in node.items() if k != "description" or isinstance(v, dict)
        }
    return [_without_descriptions(item) for item in node] if isinstance(node, list) else node


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

    `list_type`: atomic, set or map (then `keys` name an item). `atomic` structs and maps are owned as a whole.
    `patch_strategy` and `merge_key` are those of strategic merge patches.
    """

    def __init__(self, node: Json, *, name: str = "", custom: bool = False) -> None:
        self.node = node
        self.custom = custom
        self.name = name
        target = definitions()[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        self.name = node["$ref"].rpartition(".")[2] if "$ref" in node else name
        self._target = target
        self.form = _form(target, self.name, custom)
        extension = {**target, **{k: v for k, v in node.items() if k.startswith("x-")}}
        self.list_type = extension.get("x-kubernetes-list-type") or "atomic"
        self.keys: tuple[str, ...] = tuple(extension.get("x-kubernetes-list-map-keys") or ())
        self.atomic = extension.get("x-kubernetes-map-type") == "atomic"
        self.patch_strategy = str(extension.get("x-kubernetes-patch-strategy") or "")
        self.merge_key = str(extension.get("x-kubernetes-patch-merge-key") or "")
        self.int_format = str(target.get("format") or "")
        self._fields: dict[str, Type | None] = {}

    @property
    def open(self) -> bool:
        """Whether fields that the type does not have are kept."""
        return self.form == "any" or bool(self._target.get("x-kubernetes-preserve-unknown-fields"))

    @property
    def schema(self) -> Json:
        """The OpenAPI schema, for defaults and checks of custom kinds."""
        return self._target

    def field(self, name: str) -> Type | None:
        """The type of a field of a struct, or of a value of a map; None when there is no such field."""
        if name not in self._fields:
            self._fields[name] = self._make(name)
        return self._fields[name]

    def _make(self, name: str) -> Type | None:
        properties = self._target.get("properties") or {}
        if name in properties:
            return Type(properties[name], name=name, custom=self.custom and name != "metadata")
        if self.form == "map":
            values = self._target.get("additionalProperties")
            return Type(values, custom=self.custom) if isinstance(values, dict) else ANY
        return ANY if self.open else None

    @property
    def items(self) -> Type:
        """The type of a list's items."""
        if "[]" not in self._fields:
            node = self._target.get("items")
            self._fields["[]"] = Type(node, name=self.name, custom=self.custom) if node else ANY
        found = self._fields["[]"]
        assert found is not None
        return found

    def key_of(self, item: Any) -> str:
        """How an item of a list that is a map is named, as in `k:{"name":"web"}`."""
        values = {k: item.get(k, KEY_DEFAULTS.get(k)) for k in self.keys} if isinstance(item, dict) else {}
        return json.dumps(
            {k: v for k, v in values.items() if v is not None}, sort_keys=True, separators=(",", ":")
        )


def _form(node: Json, name: str, custom: bool) -> str:
    if node.get("x-kubernetes-int-or-string") or name == "IntOrString":
        return "int-or-string"
    if name == "Quantity":
        return "quantity"
    if name in _ANYTHING and not custom:
        return "any"
    kind = node.get("type")
    kind = next((k for k in kind if k != "null"), None) if isinstance(kind, list) else kind
    if kind == "array":
        return "list"
    if kind == "object" or node.get("properties"):
        return _object_form(node)
    return str(kind) if kind else "any"


def _object_form(node: Json) -> str:
    if node.get("properties"):
        return "struct"
    if "additionalProperties" in node:
        return "map"
    return "any" if node.get("x-kubernetes-preserve-unknown-fields") or "type" not in node else "empty"


ANY = Type({})


def drop_empty(value: Any, kind: Type) -> None:
    """Takes empty maps and lists out of a built-in object, in place: Go writes them as if they were not there."""
    if isinstance(value, list):
        for item in value:
            drop_empty(item, kind.items)
        return
    if not isinstance(value, dict):
        return
    for name, below in list(value.items()):
        if name == "managedFields" or not isinstance(below, dict | list):
            continue
        inner = kind.field(name) or ANY
        if below:
            drop_empty(below, inner)
        elif inner.form in ("map", "list"):
            del value[name]


@cache
def built_in_type(group: str, version: str, kind: str) -> Type:
    """The type of a built-in kind's objects. Raises KeyError for others."""
    name = definition_names()[group, version, kind]
    return Type({"$ref": f"#/$defs/{name}"})


def type_of_definition(kind: str, schema: Json) -> Type:
    """The type of a custom kind's objects: its schema, and the metadata that all objects have."""
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        **(schema.get("properties") or {}),
        "metadata": {"$ref": f"#/$defs/{_META}"},
    }
    return Type({**schema, "type": "object", "properties": properties}, name=kind, custom=True)
