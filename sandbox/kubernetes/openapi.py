"""OpenAPI v3, as much as `kubectl` reads: what a kind's fields are (`explain`), and that patches are validated.

Made from the same definitions that the types are made of, once for each group and version that is asked for.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from engine.types import Json
from sandbox.kubernetes import VERSION
from sandbox.kubernetes.discovery import page_not_found
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.requests import Answer, json_answer
from sandbox.kubernetes.schema import definition_names, described_definitions

_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_META = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
_PARAMETERS = [{"name": n, "in": "query"} for n in ("dryRun", "fieldManager", "fieldValidation", "force")]


class OpenApi:
    """The documents, kept as bytes."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._made: dict[str, bytes] = {}

    def answer(self, parts: list[str]) -> Answer:
        """`/openapi/v3` and what it names, `/openapi/v2`."""
        served: dict[str, list[Kind]] = {}
        for kind in self._kinds:
            served.setdefault(f"{'apis' if kind.group else 'api'}/{kind.api_version}", []).append(kind)
        if parts[1:] == ["v2"]:
            return Answer(200, b"", _V2)  # an empty document: `kubectl apply` of a List wants to see one
        if parts[1:] == ["v3"]:
            urls = {path: f"/openapi/v3/{path}?hash={_digest(path, kinds)}" for path, kinds in served.items()}
            return json_answer({"paths": {path: {"serverRelativeURL": url} for path, url in urls.items()}})
        path = "/".join(parts[2:])
        if path not in served:
            return page_not_found()
        digest = _digest(path, served[path])
        if digest not in self._made:
            self._made[digest] = _document(path, served[path])
        return Answer(200, self._made[digest])


def _digest(path: str, kinds: list[Kind]) -> str:
    schemas = [kind.schema for kind in kinds]
    return hashlib.sha256(f"{VERSION} {path} {schemas}".encode()).hexdigest().upper()


def _document(root: str, kinds: list[Kind]) -> bytes:
    source = described_definitions()
    paths: Json = {}
    schemas: Json = {}
    for kind in kinds:
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        if kind.schema is None:
            name = definition_names()[kind.group, kind.version, kind.kind]
        else:
            name = f"{kind.group}.{kind.version}.{kind.kind}"
            fields = {**kind.schema.get("properties", {}), "metadata": _META}
            source[name] = {**kind.schema, "properties": fields, "x-kubernetes-group-version-kind": [gvk]}
        _take(name, schemas, source)
        where = f"/{root}{'/namespaces/{namespace}' if kind.namespaced else ''}/{kind.plural}/{{name}}"
        operation = {"operationId": f"patch{kind.kind}", "parameters": _PARAMETERS, "responses": {}}
        paths[where] = {"patch": {**operation, "x-kubernetes-group-version-kind": gvk}}
    head = {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths}
    return json.dumps({**head, "components": {"schemas": schemas}}, separators=(",", ":")).encode()


def _take(name: str, schemas: Json, source: Json) -> None:
    """Adds a definition, and every one that it refers to."""
    if name not in schemas:
        schemas[name] = {}  # it may refer to itself
        schemas[name] = _taken(source[name], schemas, source)


def _taken(node: Any, schemas: Json, source: Json) -> Any:
    """A part of a definition as the server writes it: types are never null, and definitions are among the components."""
    if isinstance(node, dict):
        return {key: _taken(value, schemas, source) for key, value in node.items()}
    if isinstance(node, list):
        return node[0] if node[1:] == ["null"] else [_taken(item, schemas, source) for item in node]
    if not isinstance(node, str) or not node.startswith("#/$defs/"):
        return node
    name = node.removeprefix("#/$defs/")
    _take(name, schemas, source)
    return f"#/components/schemas/{name}"
