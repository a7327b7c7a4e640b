"""Subresources and reviews: scale, tokens, evictions, logs, reviews of rights."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode

from engine.types import Json
from sandbox.kubernetes.access import Access, Act
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.operations import Change, Deletion, Operations
from sandbox.kubernetes.refusals import Refused, bad_request, invalid, invalid_value
from sandbox.kubernetes.requests import Answer, Call
from sandbox.kubernetes.selectors import selector_text

# the kinds of bodies that are of another kind than the object whose part is meant
SHAPES = {
    "scale": Kind("autoscaling", "v1", "scales", "Scale"),
    "token": Kind("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest"),
    "eviction": Kind("policy", "v1", "evictions", "Eviction"),
}
_LEAST = {"tailLines": 0, "limitBytes": 1, "sinceSeconds": 1}
_PASSED = ("follow", "previous", "sinceTime", "timestamps", *_LEAST)
_PATIENCE = 5.0
# kubelets sign their own certificates; the real server does not check them by default either
_UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE
_SCALE_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
_LEAST_TOKEN_SECONDS = 600


# --- scale -----------------------------------------------------------------------------------------------------------


def scale_of(body: Json) -> Json:
    """The Scale of an object."""
    metadata = {name: body["metadata"][name] for name in _SCALE_META if name in body["metadata"]}
    spec, status = body.get("spec") or {}, {"replicas": (body.get("status") or {}).get("replicas", 0)}
    if selector := spec.get("selector"):
        status["selector"] = selector_text(selector)
    head = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata}
    wanted = {"replicas": spec["replicas"]} if spec.get("replicas") else {}
    return {**head, "spec": wanted, "status": status}


def scaled(change: Change) -> Change:
    """The change of an object that a change of its Scale means. Raises Refused."""

    def change_object(body: Json) -> Json:
        scale = change(scale_of(body))
        spec = {**(body.get("spec") or {}), "replicas": (scale.get("spec") or {}).get("replicas", 0)}
        version = scale["metadata"].get("resourceVersion") or body["metadata"]["resourceVersion"]
        return {**body, "metadata": {**body["metadata"], "resourceVersion": version}, "spec": spec}

    return change_object


# --- what is created below an object -----------------------------------------------------------------------------------


def _token(call: Call, body: Json, operations: Operations, access: Access) -> Json:
    account = operations.get(call.kind, call.namespace, call.name).body
    spec = {"audiences": ["https://kubernetes.default.svc"], **(body.get("spec") or {})}
    seconds = spec.setdefault("expirationSeconds", 3600)
    if seconds < _LEAST_TOKEN_SECONDS:
        words = "may not specify a duration less than 10 minutes"
        cause = invalid_value("spec.expirationSeconds", seconds, words)
        raise invalid("TokenRequest", "authentication.k8s.io", call.name, [cause])
    status = {"token": access.token_for(account, seconds=seconds), "expirationTimestamp": stamp(seconds)}
    return {**body, "spec": spec, "status": status}


def _eviction(call: Call, body: Json, operations: Operations, access: Access) -> Json:
    grace = (body.get("deleteOptions") or {}).get("gracePeriodSeconds")
    operations.delete(call.kind, call.namespace, call.name, Deletion(grace=grace))
    return SUCCESS


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


Creation = Callable[[Call, Json, Operations, Access], Json]
CREATED: dict[str, Creation] = {"token": _token, "eviction": _eviction}


# --- reviews ---------------------------------------------------------------------------------------------------------


def review(call: Call, body: Json, access: Access) -> Json:
    """The answer to a user's review of themselves or of their rights."""
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
    about, path = spec.get("resourceAttributes") or {}, spec.get("nonResourceAttributes") or {}
    if bool(about) == bool(path):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid("", "authorization.k8s.io", "", [invalid_value("spec", None, words)])
    resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
    where = about.get("group", ""), resource, about.get("namespace", ""), about.get("name", "")
    return Act((about or path).get("verb", ""), *where, path.get("path", ""))


# --- logs: asked of the kubelet of the pod's node, over TLS, as the real server does, and passed on as they come --------


async def log(call: Call, operations: Operations) -> Answer:
    """The log of a container. Raises Refused as the API server and the kubelet do."""
    pod = operations.get(call.kind, call.namespace, call.name).body
    query = {name: value for name, value in call.request.query.items() if name in _PASSED}
    for option, least in _LEAST.items():
        if (number := call.request.number(option)) is not None and number < least:
            cause = invalid_value(option, number, f"must be greater than or equal to {least}")
            raise invalid("PodLogOptions", "", call.name, [cause])
    container = _container(pod, call.request.query.get("container", ""))
    node = operations.store.get(("", "nodes"), "", pod["spec"].get("nodeName", ""))
    if node is None:
        return Answer(content_type="text/plain")
    path = f"/containerLogs/{call.namespace}/{call.name}/{container}?{urlencode(query)}"
    return await _fetch(node.body["status"], path)


def _container(pod: Json, wanted: str) -> str:
    """The container that is meant. Raises Refused (400)."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    names, inits = ([c["name"] for c in spec.get(of) or []] for of in ("containers", "initContainers"))
    if not wanted and len(names) > 1:
        words = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
        raise bad_request(words)
    if wanted and wanted not in names + inits:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted or str(names[0])


async def _fetch(node: Json, path: str) -> Answer:
    """One request to a kubelet. Its refusals become ours."""
    address = next((a["address"] for a in node.get("addresses") or [] if a["type"] == "InternalIP"), "")
    port = ((node.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 0)
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(address, port, ssl=_UNVERIFIED)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            code = int(head.split()[1])
            if code == 200:
                return Answer(content_type="text/plain", stream=_chunks(reader, writer))
            text = (await reader.read()).decode(errors="replace").strip()
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        words = f"dial tcp {address}:{port}: connect: connection refused"
        raise Refused(500, "InternalError", f'Get "https://{address}:{port}{path}": {words}') from error
    if code == 404:
        text = f"the server could not find the requested resource ( pods/log {text})"
    raise Refused(code, {400: "BadRequest", 404: "NotFound"}.get(code, "InternalError"), text, {})


async def _chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    """The pieces of the body as they arrive. The connection is closed at the end, also when the reader stops early."""
    try:
        while size := int(await reader.readline() or b"0", 16):
            yield (await reader.readexactly(size + 2))[:-2]
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return  # the kubelet has gone: the log ends here
    finally:
        writer.close()
