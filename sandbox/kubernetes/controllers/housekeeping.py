"""What a cluster has from the start; what comes with namespaces, accounts and definitions; a node that falls silent."""

from __future__ import annotations

import base64
from collections import Counter

from engine.types import Json
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.controllers.work import (
    ACCOUNTS,
    DEFINITIONS,
    NAMESPACES,
    NODES,
    PODS,
    Work,
    annotations_of,
    at,
    controller_of,
    is_ready,
)
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import KindKey, Stored

_TOKEN_TYPE = "kubernetes.io/service-account-token"
_ACCOUNT, _ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_ROLES = ("rbac.authorization.k8s.io", "clusterroles")
_AT_START = ("default", "kube-system", "kube-public", "kube-node-lease")
_EVICTION_SECONDS = 2.0
_READ = "get list watch"
_WRITE = f"{_READ} create delete deletecollection patch update"
_GROUPS = "apps batch autoscaling networking.k8s.io policy"
_SEEN = """configmaps endpoints events namespaces persistentvolumeclaims pods pods/log services serviceaccounts
    resourcequotas"""
# role: (groups, resources, verbs); "" is the core group
_RULES = {
    "cluster-admin": [("*", "*", "*")],
    "admin": [("*", "*", _WRITE)],
    "edit": [("", "*", _WRITE), (_GROUPS, "*", _WRITE)],
    "view": [("", _SEEN, _READ), (_GROUPS, "*", _READ)],
}


def furnish(work: Work) -> None:
    """Makes the namespaces and roles of a new cluster; takes up the definitions of an old one."""
    for name in _AT_START:
        _provide(work, NAMESPACES, "", name)
    for name, rules in _RULES.items():
        parts = [
            {"apiGroups": groups.split() or [""], "resources": resources.split(), "verbs": verbs.split()}
            for groups, resources, verbs in rules
        ]
        everywhere = [{"nonResourceURLs": ["*"], "verbs": ["*"]}] if name == "cluster-admin" else []
        _provide(work, _ROLES, "", name, rules=[*parts, *everywhere])
    for stored in work.store.all(DEFINITIONS):
        work.kinds.define(stored.body)


def _provide(work: Work, key: KindKey, namespace: str, name: str, **parts: object) -> None:
    """Creates an object unless it is there."""
    if work.store.get(key, namespace, name) is None:
        kind = work.kinds.get(*key)
        head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}
        work.operations.create(kind, namespace, {**head, **parts})


def furnish_namespace(work: Work, stored: Stored) -> None:
    """One look at a namespace: the account and the authority that every one has."""
    _provide(work, ACCOUNTS, stored.key[2], "default")
    authority = {"ca.crt": work.authority.decode()}
    _provide(work, ("", "configmaps"), stored.key[2], "kube-root-ca.crt", data=authority)


def fill_token(work: Work, stored: Stored) -> None:
    """One look at a Secret: one that was made for a token gets it; one whose account does not exist goes."""
    if stored.body.get("type") != _TOKEN_TYPE:
        return
    namespace, annotations = stored.key[1], annotations_of(stored.body)
    account = work.store.get(ACCOUNTS, namespace, annotations.get(_ACCOUNT, ""))
    uid = account.body["metadata"]["uid"] if account else ""
    if account is None or annotations.get(_ACCOUNT_UID, uid) != uid:
        work.delete(stored)
    elif not (stored.body.get("data") or {}).get("token"):
        token = work.access.token_for(account.body).encode()
        parts = {"token": token, "ca.crt": work.authority, "namespace": namespace.encode()}
        data = {name: base64.b64encode(part).decode() for name, part in parts.items()}
        work.change(stored, lambda body: {**body, "data": {**(body.get("data") or {}), **data}})
        work.set_metadata(stored, annotations={**annotations, _ACCOUNT_UID: uid})


def establish(work: Work, stored: Stored) -> None:
    """One look at a CustomResourceDefinition: from now on its kind is served."""
    work.kinds.define(stored.body)
    spec, known = stored.body["spec"], at(stored.body, "status.storedVersions") or []
    stores = [v["name"] for v in spec["versions"] if v.get("storage") and v["name"] not in known]
    words = {
        "NamesAccepted": ("NoConflicts", "no conflicts found"),
        "Established": ("InitialNamesAccepted", "the initial names have been accepted"),
    }
    conditions = (
        {"type": kind, "status": "True", "reason": reason, "message": message}
        for kind, (reason, message) in words.items()
    )
    work.report(stored, {"acceptedNames": spec["names"], "storedVersions": [*known, *stores]}, *conditions)


def drop_node(work: Work, seconds: float) -> str:
    """Silences the node with the most pods for a while; its pods are replaced elsewhere. Returns its name."""
    ready = [n for n in work.store.all(NODES) if is_ready(n.body)]
    if len(ready) < 2:
        raise Refused(409, "Conflict", "There are no two ready nodes: one must stay.")
    counts = Counter(p["spec"].get("nodeName") for p in work.store.bodies(PODS))
    node = max(ready, key=lambda n: counts[n.key[2]])
    body, name, now = node.body, node.key[2], stamp()
    words = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    silent = {"status": "Unknown", "lastTransitionTime": now, **words}
    conditions = [{**c, **silent} for c in body["status"]["conditions"]]
    taint = {"key": "node.kubernetes.io/unreachable", "timeAdded": now}
    taints = [{**taint, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    spec = {**body["spec"], "taints": [*(body["spec"].get("taints") or []), *taints]}
    _set_node(work, node, spec, {**body["status"], "conditions": conditions})
    work.event(body, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
    work.later(_EVICTION_SECONDS, ("evict", name), lambda: _evict(work, name))
    work.later(seconds, ("return", name), lambda: _set_node(work, node, body["spec"], body["status"]))
    return name


def _set_node(work: Work, node: Stored, spec: Json, status: Json) -> None:
    if current := work.store.get(*node.key):
        work.store.put(work.kinds.core("nodes"), {**current.body, "spec": spec, "status": status})


def _evict(work: Work, node: str) -> None:
    for pod in work.store.all(PODS):
        if pod.body["spec"].get("nodeName") == node and controller_of(pod.body).get("kind") != "DaemonSet":
            work.delete(pod)
