"""OpenAPI v3, as much as `kubectl` reads: what a kind's fields are (`explain`), and that patches are validated.

Made from the same definitions that the types are made of, once for each group and version that is asked for.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from engine.types import Json
from sandbox.kubernetes import VERSION, openapi_v2
from sandbox.kubernetes.discovery import page_not_found
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.requests import Answer, json_answer
from sandbox.kubernetes.schema import definition_names, described_definitions

_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]
_REFERENCE = "#/$defs/"


class OpenApi:
    """The documents, kept as bytes."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._made: dict[tuple[str, int], bytes] = {}

    def answer(self, parts: list[str]) -> Answer:
        """`/openapi/v3` and what it names, `/openapi/v2`."""
        if parts == ["openapi", "v3"]:
            return json_answer({"paths": {path: self._entry(path) for path in self._paths()}})
        if parts == ["openapi", "v2"]:
            return Answer(200, openapi_v2.document(self._kinds), openapi_v2.CONTENT_TYPE)
        path = "/".join(parts[2:])
        if parts[:2] != ["openapi", "v3"] or path not in self._paths():
            return page_not_found()
        return Answer(200, self._document(path))

    def _paths(self) -> dict[str, tuple[str, str]]:
        return {
            f"apis/{group}/{version}" if group else f"api/{version}": (group, version)
            for group, versions in self._kinds.groups().items()
            for version in versions
        }

    def _entry(self, path: str) -> Json:
        served = [repr(kind.schema) for kind in self._of(path) if kind.custom]
        digest = hashlib.sha256(f"{VERSION} {path} {served}".encode()).hexdigest().upper()
        return {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}

    def _of(self, path: str) -> list[Kind]:
        group, version = self._paths()[path]
        return [k for k in self._kinds if (k.group, k.version) == (group, version)]

    def _document(self, path: str) -> bytes:
        found = self._of(path)
        key = (path, hash(repr([kind.schema for kind in found])))
        if key not in self._made:
            self._made[key] = _document(path, found)
        return self._made[key]


def _document(root: str, found: list[Kind]) -> bytes:
    source = described_definitions()
    paths: Json = {}
    schemas: Json = {}
    for kind in found:
        name = _schema_name(kind)
        if kind.custom:
            schemas[name] = {**(kind.schema or {}), "x-kubernetes-group-version-kind": [_gvk(kind)]}
            schemas[name]["properties"] = {
                **(kind.schema or {}).get("properties", {}),
                "metadata": {"$ref": f"{_REFERENCE}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
            }
            _collect(schemas[name], schemas, source)
        else:
            _collect({"$ref": _REFERENCE + name}, schemas, source)
        for path, operations in _operations(root, kind):
            paths["/" + path] = operations
    head = {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths}
    text = json.dumps({**head, "components": {"schemas": schemas}}, separators=(",", ":"))
    return text.replace(_REFERENCE, "#/components/schemas/").encode()


def _schema_name(kind: Kind) -> str:
    if kind.custom:
        return f"{'.'.join(reversed(kind.group.split('.')))}.{kind.version}.{kind.kind}"
    return definition_names()[kind.group, kind.version, kind.kind]


def _gvk(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _operations(root: str, kind: Kind) -> list[tuple[str, Json]]:
    base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    body = {"content": {"application/json": {"schema": {"$ref": _REFERENCE + _schema_name(kind)}}}}

    def operation(verb: str) -> Json:
        return {
            "operationId": f"{verb}{kind.kind}",
            "parameters": _PARAMETERS,
            "requestBody": body,
            "responses": {"200": {"description": "OK", **body}},
            "x-kubernetes-action": verb,
            "x-kubernetes-group-version-kind": _gvk(kind),
        }

    one = {method: operation(method) for method in ("get", "put", "patch", "delete")}
    return [(base, {"get": operation("list"), "post": operation("post")}), (f"{base}/{{name}}", one)]


def _collect(node: Any, schemas: Json, source: Json) -> None:
    """Adds every definition that a schema refers to, nulls taken out of the types as the server writes them."""
    if isinstance(node, list):
        for item in node:
            _collect(item, schemas, source)
    elif isinstance(node, dict):
        name = str(node.get("$ref", "")).removeprefix(_REFERENCE)
        if name and name not in schemas:
            schemas[name] = _without_null(source[name])
            _collect(schemas[name], schemas, source)
        for value in node.values():
            _collect(value, schemas, source)


def _without_null(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    clean = {name: _without_null(value) for name, value in node.items()}
    kinds = clean.get("type")
    if isinstance(kinds, list):
        clean["type"] = next(k for k in kinds if k != "null")
    return clean
