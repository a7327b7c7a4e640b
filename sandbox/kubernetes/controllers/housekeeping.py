"""What a cluster has from the start; what comes with namespaces, accounts and definitions; a node that falls silent."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter

from engine.types import Json
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.controllers import keys
from sandbox.kubernetes.controllers.bodies import annotations_of, at, controller_of, is_ready
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Stored

_TOKEN_TYPE = "kubernetes.io/service-account-token"
_ACCOUNT, _ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_AT_START = ("default", "kube-system", "kube-public", "kube-node-lease")
_EVICTION_SECONDS = 2.0
_READ = "get list watch"
_WRITE = f"{_READ} create delete deletecollection patch update"
_GROUPS = "apps batch autoscaling networking.k8s.io policy"
_SEEN = """configmaps endpoints events namespaces persistentvolumeclaims pods pods/log services serviceaccounts
    resourcequotas"""
_ROLES = {  # groups ("" is the core one), resources, verbs
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
        fields = ("apiGroups", "resources", "verbs")
        rules: list[Json] = [
            {f: text.split() or [""] for f, text in zip(fields, row, strict=True)} for row in rows
        ]
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


def fill_token(work: Work, stored: Stored) -> None:
    """One look at a Secret: one that was made for a token gets it; one whose account does not exist goes."""
    if stored.body.get("type") != _TOKEN_TYPE:
        return
    namespace, said = stored.key[1], annotations_of(stored.body)
    account = work.store.get(keys.ACCOUNTS, namespace, said.get(_ACCOUNT, ""))
    uid = account.body["metadata"]["uid"] if account else ""
    if account is None or said.get(_ACCOUNT_UID, uid) != uid:
        work.delete(stored)
    elif not at(stored.body, "data.token"):
        token = work.access.token_for(account.body).encode()
        parts = {"token": token, "ca.crt": work.authority, "namespace": namespace.encode()}
        data = {name: base64.b64encode(part).decode() for name, part in parts.items()}
        work.change(stored, data=data, metadata={"annotations": {**said, _ACCOUNT_UID: uid}})


def establish(work: Work, stored: Stored) -> None:
    """One look at a CustomResourceDefinition: from now on its kind is served."""
    work.kinds.define(stored.body)
    spec, known = stored.body["spec"], at(stored.body, "status.storedVersions") or []
    stores = [v["name"] for v in spec["versions"] if v.get("storage") and v["name"] not in known]
    reasons = {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}
    conditions = ({"type": kind, "status": "True", "reason": reason} for kind, reason in reasons.items())
    work.report(stored, {"acceptedNames": spec["names"], "storedVersions": [*known, *stores]}, *conditions)


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
    taint = {"key": "node.kubernetes.io/unreachable", "timeAdded": stamp()}
    taints = [{**taint, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    conditions = [{**condition, **silent} for condition in status["conditions"]]
    _set_node(
        work,
        name,
        {**spec, "taints": [*(spec.get("taints") or []), *taints]},
        {**status, "conditions": conditions},
    )
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
