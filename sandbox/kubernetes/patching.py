"""Bodies of PATCH requests: four content types, each to a function that changes an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.types import Json
from sandbox.kubernetes import decoding, patches, subresources
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused, bad_request, invalid
from sandbox.kubernetes.requests import Request
from sandbox.kubernetes.store import encode

APPLY = "application/apply-patch+yaml"
_JSON, _MERGE = "application/json-patch+json", "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
Change = Callable[[Json], Json]


def reader(request: Request, kind: Kind, subresource: str, warnings: list[str]) -> Change:
    """The change that a patch describes (any but server-side apply). Raises Refused."""
    content_type = request.content_type
    if content_type not in (_JSON, _MERGE, _STRATEGIC) or (kind.custom and content_type == _STRATEGIC):
        raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    try:
        patch, _ = decoding.parse_json(request.body)
    except ValueError as error:
        raise bad_request("invalid JSON patch") from error
    if content_type != _JSON and not isinstance(patch, dict):
        raise bad_request("invalid JSON patch")

    def change(body: Json) -> Json:
        if subresource == "scale":
            return subresources.patch_scale(
                kind, body, lambda scale: _patched(scale, patch, content_type, kind)
            )
        new = _patched(body, patch, content_type, kind)
        return _checked(new, kind, request, warnings)

    return change


def _patched(body: Json, patch: Any, content_type: str, kind: Kind) -> Json:
    if content_type == _JSON:
        new = patches.json_patch(body, patch)
    elif content_type == _MERGE:
        new = patches.merge_patch(body, patch)
    else:
        new = patches.strategic_patch(body, patch, kind.type)
    if not isinstance(new, dict):
        raise bad_request("the patched object is no object")
    return new


def _checked(new: Json, kind: Kind, request: Request, warnings: list[str]) -> Json:
    """The patched object, of the right kind and without unknown fields."""
    if not isinstance(new.get("metadata"), dict):
        raise bad_request("metadata is missing")
    decoding.check_kind(new, kind)
    problems = decoding.unknown_problems(new, kind)
    if problems and request.query.get("fieldValidation") == "Strict":
        shown = encode(new).decode()[:200]
        words = f"Invalid value: {shown!r}: strict decoding error: {', '.join(problems)}"
        raise invalid("", "", "", [("patch", "FieldValueInvalid", words)])
    if request.query.get("fieldValidation") != "Ignore":
        warnings += problems
    return new


def configuration(request: Request, kind: Kind, namespace: str, name: str) -> Json:
    """The configuration in the body of a server-side apply. Raises Refused."""
    try:
        config, doubled = decoding.parse(request.body, _media(request.body))
    except ValueError as error:
        words = f"error decoding patch: error converting YAML to JSON: yaml: {str(error)[:200]}"
        raise bad_request(words) from error
    if not isinstance(config, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
        )
    if doubled and request.query.get("fieldValidation") == "Strict":
        raise bad_request(f"error strict decoding YAML: duplicate field {doubled[0]!r}")
    version, said = str(config.get("apiVersion") or ""), str(config.get("kind") or "")
    if (version, said) != (kind.api_version, kind.kind):
        shown = version if "/" in version or not version else f"/{version}"
        raise bad_request(f"invalid object type: {shown or '/'}, Kind={said}")
    metadata = config.get("metadata")
    if not isinstance(metadata, dict):
        metadata = config["metadata"] = {}
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    decoding.check_applied(config, kind, metadata.get("namespace") or "", metadata.get("name") or name)
    return _placed(decoding.strip_nulls(config), kind, namespace, name)


def _media(body: bytes) -> str:
    """JSON is YAML, and far faster to read as what it is."""
    return "application/json" if body[:1] == b"{" and body.rstrip()[-1:] == b"}" else "application/yaml"


def _placed(config: Json, kind: Kind, namespace: str, name: str) -> Json:
    """With the name and namespace of the address, which must not differ."""
    metadata = config["metadata"]
    metadata.setdefault("name", name)
    if kind.namespaced and metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return config
