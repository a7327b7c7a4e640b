"""OpenAPI v3, as much as `kubectl` reads: the fields of a kind (`explain`), and that patches are validated.

Made from the same definitions that the types are made of, once for each group and version that is asked for.
"""

from __future__ import annotations

import hashlib
import json
import re

from engine.types import Json
from sandbox.kubernetes import VERSION
from sandbox.kubernetes.discovery import page_not_found
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.requests import Answer, json_answer
from sandbox.kubernetes.schema import definition_names, described_definitions

_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_META = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')
_NULL = re.compile(r'"type": \["(\w+)", "null"\]')  # the server does not tell what may be null
_PARAMETERS = [{"name": n, "in": "query"} for n in ("dryRun", "fieldManager", "fieldValidation", "force")]


class OpenApi:
    """The documents, kept as bytes."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._made: dict[str, bytes] = {}

    def answer(self, parts: list[str]) -> Answer:
        """`/openapi/v3`, the documents that it names, and `/openapi/v2`."""
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
    names = []
    for kind in kinds:
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        if kind.schema is None:
            names.append(definition_names()[kind.group, kind.version, kind.kind])
        else:
            names.append(f"{kind.group}.{kind.version}.{kind.kind}")
            fields = {**kind.schema.get("properties", {}), "metadata": _META}
            source[names[-1]] = {
                **kind.schema,
                "properties": fields,
                "x-kubernetes-group-version-kind": [gvk],
            }
        where = f"/{root}{'/namespaces/{namespace}' if kind.namespaced else ''}/{kind.plural}/{{name}}"
        operation = {"operationId": f"patch{kind.kind}", "parameters": _PARAMETERS, "responses": {}}
        paths[where] = {"patch": {**operation, "x-kubernetes-group-version-kind": gvk}}
    head = {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths}
    text = json.dumps({**head, "components": {"schemas": _with_all_they_name(names, source)}})
    return _NULL.sub(r'"type": "\1"', text).replace("#/$defs/", "#/components/schemas/").encode()


def _with_all_they_name(names: list[str], source: Json) -> Json:
    """The definitions of these names, and every one that they refer to."""
    found: Json = {}
    while names:
        name = names.pop()
        if name not in found:
            found[name] = source[name]
            names += _REFERENCE.findall(json.dumps(source[name]))
    return found
