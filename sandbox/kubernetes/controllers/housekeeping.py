"""Objects of every new cluster and namespace, garbage collection, and nodes that fall silent."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter

from engine.types import Json
from sandbox.kubernetes import aggregation
from sandbox.kubernetes.admission import CLEANUP
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.controllers import keys
from sandbox.kubernetes.controllers.bodies import annotations_of, controller_of, is_going, is_ready
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.kinds import kinds_of
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import value_at
from sandbox.kubernetes.store import Stored

_TOKEN_TYPE = "kubernetes.io/service-account-token"
_ACCOUNT = "kubernetes.io/service-account.name"
_AT_START = ("default", "kube-system", "kube-public", "kube-node-lease")
_EVICTION_SECONDS, _SWEEP_SECONDS, _EVENT_SECONDS = 2.0, 30.0, 3600.0
_READ = "get list watch"
_WRITE = f"{_READ} create delete deletecollection patch update"
_GROUPS = "apps batch autoscaling networking.k8s.io policy"
_SEEN = """configmaps endpoints events namespaces persistentvolumeclaims pods pods/log services serviceaccounts
    resourcequotas"""
_RULE = ("apiGroups", "resources", "verbs")
_ROLES = {  # rules of these parts; "" is the core group
    "cluster-admin": [("*", "*", "*")],
    "admin": [("*", "*", _WRITE)],
    "edit": [("", "*", _WRITE), (_GROUPS, "*", _WRITE)],
    "view": [("", _SEEN, _READ), (_GROUPS, "*", _READ)],
}


def furnish(work: Work) -> None:
    """Makes the namespaces and roles of a new cluster; takes up the definitions of an old one."""
    for name in _AT_START:
        work.provide(keys.NAMESPACES, "", {"name": name})
    for name, rows in _ROLES.items():
        rules: list[Json] = [dict(zip(_RULE, (t.split() or [""] for t in row), strict=True)) for row in rows]
        if name == "cluster-admin":
            rules.append({"nonResourceURLs": ["*"], "verbs": ["*"]})
        work.provide(keys.ROLES, "", {"name": name}, rules=rules)
    for stored in work.store.all(keys.DEFINITIONS):
        work.kinds.define(stored.body)


def furnish_namespace(work: Work, stored: Stored) -> None:
    """One look at a namespace: the account and the authority that every one has."""
    name, authority = stored.key[2], {"ca.crt": work.authority.decode()}
    work.provide(keys.ACCOUNTS, name, {"name": "default"})
    work.provide(keys.CONFIG_MAPS, name, {"name": "kube-root-ca.crt"}, data=authority)


def look_for_service(work: Work, stored: Stored) -> None:
    """One look at an APIService: whether the service behind it is there."""
    work.report(stored, {}, aggregation.condition_of(work.store, stored.body.get("spec") or {}))


def fill_token(work: Work, stored: Stored) -> None:
    """One look at a Secret for an account's token: fills the token in, or deletes the Secret without its account."""
    if stored.body.get("type") != _TOKEN_TYPE:
        return
    namespace, name = stored.key[1], annotations_of(stored.body).get(_ACCOUNT, "")
    account = work.store.get(keys.ACCOUNTS, namespace, name)
    if account is None:
        work.delete(stored)
    elif not value_at(stored.body, "data.token"):
        token = work.access.token_for(account.body).encode()
        parts = {"token": token, "ca.crt": work.authority, "namespace": namespace.encode()}
        data = {name: base64.b64encode(part).decode() for name, part in parts.items()}
        work.change(stored, data=data)


def establish(work: Work, stored: Stored) -> None:
    """One look at a CustomResourceDefinition: from now on its kind is served."""
    work.kinds.define(stored.body)
    status = {**(stored.body.get("status") or {}), "acceptedNames": stored.body["spec"]["names"]}
    reasons = {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}
    conditions = ({"type": kind, "status": "True", "reason": reason} for kind, reason in reasons.items())
    work.report(stored, status, *conditions)


# --- a node that falls silent ----------------------------------------------------------------------------------------


def drop_node(work: Work, seconds: float) -> str:
    """Silences the node with the most pods for a while; its pods are replaced elsewhere. Returns its name."""
    ready = [n for n in work.store.all(keys.NODES) if is_ready(n.body)]
    if len(ready) < 2:
        raise Refused(409, "Conflict", "There are no two ready nodes: one must stay.")
    counts = Counter(p["spec"].get("nodeName") for p in work.store.bodies(keys.PODS))
    node = max(ready, key=lambda n: counts[n.key[2]])
    spec, status, name = node.body["spec"], node.body["status"], node.key[2]
    words = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    silent = {"status": "Unknown", "lastTransitionTime": stamp(), **words}
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": stamp()}
    conditions = [{**condition, **silent} for condition in status["conditions"]]
    tainted = {**spec, "taints": [*(spec.get("taints") or []), taint]}
    _set_node(work, name, tainted, {**status, "conditions": conditions})
    work.event(node.body, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
    loop = asyncio.get_running_loop()
    loop.call_later(_EVICTION_SECONDS, _evict, work, name)
    loop.call_later(seconds, _set_node, work, name, spec, status)
    return name


def _set_node(work: Work, name: str, spec: Json, status: Json) -> None:
    if node := work.store.get(keys.NODES, "", name):
        work.store.put(work.kinds.core("nodes"), {**node.body, "spec": spec, "status": status})


def _evict(work: Work, node: str) -> None:
    for pod in work.store.all(keys.PODS):
        if pod.body["spec"].get("nodeName") == node and controller_of(pod.body).get("kind") != "DaemonSet":
            work.delete(pod)


# --- garbage ---------------------------------------------------------------------------------------------------------


def collect(work: Work, stored: Stored) -> None:
    """One look at any object: deletes it when none of its owners lives, and lets a deleted one go in the right order."""
    owners = stored.body["metadata"].get("ownerReferences") or []
    if is_going(stored.body):
        _let_go(work, stored)
    elif owners:
        states = [_state(work, r, stored.key[1]) for r in owners]
        living = [r for r, state in zip(owners, states, strict=True) if state == "lives"]
        if not living:
            work.delete(stored, "Foreground" if "waits" in states else "Background")
        elif len(living) < len(owners):
            work.change(stored, metadata={"ownerReferences": living})


def _state(work: Work, reference: Json, namespace: str) -> str:
    """The state of an owner: "lives", "gone", or "waits" (for its own objects to go first). Unknown kinds count as living."""
    kind = work.kinds.of_object(reference["apiVersion"], reference["kind"])
    if kind is None:
        return "lives"
    owner = work.store.get(kind.key, namespace if kind.namespaced else "", reference["name"])
    if owner is None or owner.body["metadata"]["uid"] != reference["uid"]:
        return "gone"
    return "waits" if "foregroundDeletion" in _finalizers(owner) else "lives"


def _finalizers(stored: Stored) -> list[str]:
    return stored.body["metadata"].get("finalizers") or []


def _let_go(work: Work, stored: Stored) -> None:
    """For a deleted object: its own objects lose it as owner ("orphan"), or go before it ("foregroundDeletion")."""
    uid, finalizers = stored.body["metadata"]["uid"], _finalizers(stored)
    owned = work.store.owned_by(uid)
    if "orphan" in finalizers:
        for other in owned:
            left = [r for r in other.body["metadata"]["ownerReferences"] if r["uid"] != uid]
            work.change(other, metadata={"ownerReferences": left})
        _without(work, stored, "orphan")
    elif "foregroundDeletion" in finalizers:
        for other in owned:
            work.ask(other.key)
        references = [r for other in owned for r in other.body["metadata"]["ownerReferences"]]
        if not any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in references):
            _without(work, stored, "foregroundDeletion")


def _without(work: Work, stored: Stored, finalizer: str) -> None:
    kept = [f for f in _finalizers(stored) if f != finalizer]
    work.change(stored, metadata={"finalizers": kept})


def _delete_all(work: Work, found: list[Stored]) -> list[Stored]:
    """Deletes them; returns those that finalizers or a grace period keep."""
    for stored in found:
        if not is_going(stored.body):
            work.delete(stored)
    return [left for stored in found if (left := work.store.get(*stored.key))]


def drain_namespace(work: Work, stored: Stored) -> None:
    """One look at a deleted namespace: deletes its content first, and reports content that finalizers keep."""
    left = _delete_all(work, work.store.in_namespace(stored.key[2]))
    if held := sorted({finalizer for s in left for finalizer in _finalizers(s)}):
        words = f"Some content in the namespace has finalizers remaining: {', '.join(held)}"
        kept = {"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain"}
        work.report(stored, {"phase": "Terminating"}, {**kept, "message": words})
    if not left:
        work.change(stored, spec={"finalizers": []})


def drain_definition(work: Work, stored: Stored) -> None:
    """One look at a deleted CustomResourceDefinition: deletes its objects first."""
    kind = next(kinds_of(stored.body), None)
    if kind and _delete_all(work, work.store.all(kind.key)):
        work.ask_in(stored.key, 0.3)
    else:
        _without(work, stored, CLEANUP)


def sweep(work: Work) -> None:
    """Runs at intervals: deletes events after an hour, and pods of nodes that no longer exist."""
    for stored in work.store.all(keys.EVENTS):
        last = stored.body.get("lastTimestamp") or stored.body["metadata"]["creationTimestamp"]
        if since(last) > _EVENT_SECONDS:
            work.store.remove(stored)
    nodes = {n.key[2] for n in work.store.all(keys.NODES)}
    for pod in work.store.all(keys.PODS):
        if pod.body["spec"].get("nodeName", "") not in {"", *nodes}:
            work.store.remove(pod)
    asyncio.get_running_loop().call_later(_SWEEP_SECONDS, sweep, work)
