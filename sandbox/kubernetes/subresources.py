"""Parts and reviews that are no plain objects: scale, tokens, evictions, bindings, who may do what."""

from __future__ import annotations

from collections.abc import Callable

from engine.types import Json
from sandbox.kubernetes.access import Access, Act
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.operations import Change, Deletion, Operations
from sandbox.kubernetes.refusals import conflict, invalid, invalid_value
from sandbox.kubernetes.requests import Call
from sandbox.kubernetes.selectors import selector_text

# the kinds of bodies that are of another kind than the object whose part is meant
SHAPES = {
    "scale": Kind("autoscaling", "v1", "scales", "Scale"),
    "token": Kind("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest"),
    "eviction": Kind("policy", "v1", "evictions", "Eviction"),
    "binding": Kind("", "v1", "bindings", "Binding"),
}
_SCALE_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
_LEAST_TOKEN_SECONDS = 600


# --- scale -----------------------------------------------------------------------------------------------------------


def scale_of(body: Json) -> Json:
    """The Scale of an object."""
    metadata = {name: body["metadata"][name] for name in _SCALE_META if name in body["metadata"]}
    spec, status = body.get("spec") or {}, {"replicas": (body.get("status") or {}).get("replicas", 0)}
    if selector := spec.get("selector"):
        status["selector"] = selector_text(selector)
    head = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata}
    return {**head, "spec": {"replicas": spec.get("replicas", 0)}, "status": status}


def scaled(change: Change) -> Change:
    """The change of an object that a change of its Scale means. Raises Refused."""

    def change_object(body: Json) -> Json:
        scale = change(scale_of(body))
        metadata, replicas = scale["metadata"], (scale.get("spec") or {}).get("replicas", 0)
        if replicas < 0:
            cause = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("Scale", "autoscaling", body["metadata"]["name"], [cause])
        version = metadata.get("resourceVersion") or body["metadata"]["resourceVersion"]
        metadata = {**body["metadata"], "resourceVersion": version}
        return {**body, "metadata": metadata, "spec": {**(body.get("spec") or {}), "replicas": replicas}}

    return change_object


# --- what is created below an object -----------------------------------------------------------------------------------


def _token(call: Call, body: Json, operations: Operations, access: Access) -> Json:
    account = operations.get(call.kind, call.namespace, call.name).body
    seconds = int((body.get("spec") or {}).get("expirationSeconds") or 3600)
    if seconds < _LEAST_TOKEN_SECONDS:
        cause = invalid_value(
            "spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
        )
        raise invalid("TokenRequest", "authentication.k8s.io", call.name, [cause])
    status = {"token": access.token_for(account, seconds=seconds), "expirationTimestamp": stamp(seconds)}
    spec = {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": seconds}
    metadata = {"name": call.name, "namespace": call.namespace, "creationTimestamp": stamp()}
    return {**body, "metadata": metadata, "spec": spec, "status": status}


def _eviction(call: Call, body: Json, operations: Operations, access: Access) -> Json:
    grace = (body.get("deleteOptions") or {}).get("gracePeriodSeconds")
    operations.delete(call.kind, call.namespace, call.name, Deletion(grace=grace))
    return _SUCCESS


def _binding(call: Call, body: Json, operations: Operations, access: Access) -> Json:
    pod = operations.get(call.kind, call.namespace, call.name).body
    if pod["spec"].get("nodeName"):
        raise conflict(call.kind, call.name, f"pod {call.name} is already assigned to node")
    bind(operations, call.namespace, call.name, (body.get("target") or {}).get("name", ""))
    return _SUCCESS


def bind(operations: Operations, namespace: str, name: str, node: str) -> None:
    """Puts a pod on a node."""
    pods = operations.kinds.core("pods")
    body = operations.get(pods, namespace, name).body
    status = body.get("status") or {}
    conditions = [c for c in status.get("conditions") or [] if c["type"] != "PodScheduled"]
    times = {"lastProbeTime": None, "lastTransitionTime": stamp()}
    conditions.append({"type": "PodScheduled", "status": "True", **times})
    spec, status = {**body["spec"], "nodeName": node}, {**status, "conditions": conditions}
    operations.store.put(pods, {**body, "spec": spec, "status": status})


CREATED: dict[str, Callable[[Call, Json, Operations, Access], Json]] = {
    "token": _token,
    "eviction": _eviction,
    "binding": _binding,
}


# --- reviews ---------------------------------------------------------------------------------------------------------


def review(call: Call, body: Json, access: Access) -> Json:
    """The answer to what somebody asks about themselves."""
    user, spec = call.request.user, body.get("spec") or {}
    if call.kind.kind == "SelfSubjectReview":
        status: Json = {"userInfo": {"username": user.name, "groups": list(user.groups)}}
    elif call.kind.kind == "SelfSubjectRulesReview":
        rules = access.rules_of(user, spec.get("namespace", ""))
        lists = {"resourceRules": "resources", "nonResourceRules": "nonResourceURLs"}
        status = {name: [r for r in rules if of in r] for name, of in lists.items()} | {"incomplete": False}
    else:
        status = {"allowed": access.allows(user, _act_of(spec))}
    return {**body, "status": status}


def _act_of(spec: Json) -> Act:
    """The act that a SelfSubjectAccessReview asks about. Raises Refused (422) when it names none, or two."""
    about: Json = spec.get("resourceAttributes") or {}
    path: Json = spec.get("nonResourceAttributes") or {}
    if bool(about) == bool(path):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid("", "authorization.k8s.io", "", [invalid_value("spec", None, words)])
    if path:
        return Act(path.get("verb", ""), path=path.get("path", ""))
    resource, part = about.get("resource", ""), about.get("subresource")
    named = f"{resource}/{part}" if part else resource
    where = (about.get("namespace", ""), about.get("name", ""))
    return Act(about.get("verb", ""), about.get("group", ""), named, *where)
