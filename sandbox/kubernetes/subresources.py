"""Parts and reviews that are no plain objects: scale, tokens, evictions, bindings, who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.types import Json
from sandbox.kubernetes import decoding
from sandbox.kubernetes.access import Access, Act
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import bad_request, conflict, invalid, invalid_value
from sandbox.kubernetes.requests import Answer, Request, json_answer
from sandbox.kubernetes.selectors import selector_text

if TYPE_CHECKING:
    from sandbox.kubernetes.operations import Operations

_SCALE_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_LEAST_TOKEN_SECONDS = 600
Special = Callable[[Request, str, str, "Operations", Access], Answer]


# --- scale -----------------------------------------------------------------------------------------------------------


def scale_of(kind: Kind, body: Json) -> Json:
    """The Scale of an object."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    metadata = {name: body["metadata"][name] for name in _SCALE_META if name in body["metadata"]}
    wanted = {"replicas": spec["replicas"]} if spec.get("replicas") else {}
    found: Json = {"replicas": status.get("replicas", 0)}
    if spec.get("selector"):
        found["selector"] = selector_text(spec["selector"])
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": wanted,
        "status": found,
    }


def patch_scale(kind: Kind, body: Json, change: Callable[[Json], Json]) -> Json:
    """The object with the replicas that a changed Scale wants. Raises Refused."""
    return _scaled(body, change(scale_of(kind, body)))


def scale_replacement(request: Request, kind: Kind, name: str) -> Callable[[Json], Json]:
    """The change that a PUT of a Scale makes. Raises Refused."""
    try:
        scale, _ = decoding.parse(request.body, request.content_type)
    except ValueError as error:
        raise bad_request(f"the object provided is unrecognized (must be of type Scale): {error}") from error
    if not isinstance(scale, dict):
        raise bad_request("the object provided is unrecognized (must be of type Scale)")

    def change(body: Json) -> Json:
        version = (scale.get("metadata") or {}).get("resourceVersion")
        if version and version != body["metadata"]["resourceVersion"]:
            raise conflict(kind, name)
        return _scaled(body, scale)

    return change


def _scaled(body: Json, scale: Json) -> Json:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        words = "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32"
        raise bad_request(f'Scale in version "v1" cannot be handled as a Scale: {words}')
    if replicas < 0:
        cause = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", "autoscaling", body["metadata"]["name"], [cause])
    return {**body, "spec": {**body["spec"], "replicas": replicas}}


# --- what is created below an object -----------------------------------------------------------------------------------


def _token(request: Request, namespace: str, name: str, operations: Operations, access: Access) -> Answer:
    account = operations.get(operations.kinds.core("serviceaccounts"), namespace, name).body
    spec = _body(request).get("spec") or {}
    seconds = int(spec.get("expirationSeconds") or 3600)
    if seconds < _LEAST_TOKEN_SECONDS:
        words = "may not specify a duration less than 10 minutes"
        cause = invalid_value("spec.expirationSeconds", seconds, words)
        raise invalid("TokenRequest", "authentication.k8s.io", name, [cause])
    status = {"token": access.token_for(account, seconds=seconds), "expirationTimestamp": stamp(seconds)}
    spec = {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": seconds}
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": stamp()}
    head = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": metadata}
    return json_answer({**head, "spec": spec, "status": status}, 201)


def _eviction(request: Request, namespace: str, name: str, operations: Operations, access: Access) -> Answer:
    from sandbox.kubernetes.operations import Deletion

    options = _body(request).get("deleteOptions") or {}
    operations.delete(
        operations.kinds.core("pods"), namespace, name, Deletion(grace=options.get("gracePeriodSeconds"))
    )
    return json_answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)


def _binding(request: Request, namespace: str, name: str, operations: Operations, access: Access) -> Answer:
    node = (_body(request).get("target") or {}).get("name", "")
    pods = operations.kinds.core("pods")
    if operations.get(pods, namespace, name).body["spec"].get("nodeName"):
        raise conflict(pods, name, f"pod {name} is already assigned to node")
    bind(operations, namespace, name, node)
    return json_answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)


def bind(operations: Operations, namespace: str, name: str, node: str) -> None:
    """Puts a pod on a node."""
    pods = operations.kinds.core("pods")
    stored = operations.get(pods, namespace, name)
    status = stored.body.get("status") or {}
    others = [c for c in status.get("conditions") or [] if c["type"] != "PodScheduled"]
    condition = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": stamp(),
    }
    spec = {**stored.body["spec"], "nodeName": node}
    operations.store.put(
        pods, {**stored.body, "spec": spec, "status": {**status, "conditions": [*others, condition]}}
    )


def _finalize(request: Request, namespace: str, name: str, operations: Operations, access: Access) -> Answer:
    body = _body(request)
    kind = operations.kinds.core("namespaces")
    change = {"spec": {"finalizers": (body.get("spec") or {}).get("finalizers") or []}}
    stored = operations.update(kind, "", name, lambda old: {**old, **change})
    return Answer(200, stored.data)


def _body(request: Request) -> Json:
    try:
        body, _ = decoding.parse(request.body or b"{}", request.content_type)
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized")
    return body


SPECIAL: dict[tuple[str, str], Special] = {
    ("serviceaccounts", "token"): _token,
    ("pods", "eviction"): _eviction,
    ("pods", "binding"): _binding,
    ("namespaces", "finalize"): _finalize,
}


# --- reviews ---------------------------------------------------------------------------------------------------------


def review(request: Request, kind: Kind, body: Json, access: Access) -> Answer:
    """What somebody may ask about themselves."""
    user, spec = request.user, body.get("spec") or {}
    if kind.kind == "SelfSubjectReview":
        body["status"] = {"userInfo": {"username": user.name, "groups": list(user.groups)}}
    elif kind.kind == "SelfSubjectRulesReview":
        rules = access.rules_of(user, spec.get("namespace", ""))
        body["status"] = {
            "resourceRules": [r for r in rules if "resources" in r],
            "nonResourceRules": [r for r in rules if "nonResourceURLs" in r],
            "incomplete": False,
        }
    else:
        body["status"] = {"allowed": access.allows(user, _act_of(spec))}
    return json_answer(body, 201)


def _act_of(spec: Json) -> Act:
    """The act that a SelfSubjectAccessReview asks about. Raises Refused (422) when it names none, or two."""
    resource: Json = spec.get("resourceAttributes") or {}
    path: Json = spec.get("nonResourceAttributes") or {}
    if bool(resource) == bool(path):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid("", "authorization.k8s.io", "", [invalid_value("spec", None, words)])
    if path:
        return Act(path.get("verb", ""), path=path.get("path", ""))
    named = resource.get("resource", "")
    if resource.get("subresource"):
        named += f"/{resource['subresource']}"
    where = (resource.get("namespace", ""), resource.get("name", ""))
    return Act(resource.get("verb", ""), resource.get("group", ""), named, *where)
