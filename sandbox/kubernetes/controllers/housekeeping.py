"""What a cluster has from the start, and what comes with namespaces, accounts and definitions."""

from __future__ import annotations

import base64

from engine.types import Json
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.admission import CLEANUP
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.controllers.work import Work, is_going, merged_conditions
from sandbox.kubernetes.kinds import kinds_of
from sandbox.kubernetes.store import Stored, clone

NAMESPACES, ACCOUNTS, SECRETS = ("", "namespaces"), ("", "serviceaccounts"), ("", "secrets")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
TOKEN_TYPE = "kubernetes.io/service-account-token"
_ACCOUNT = "kubernetes.io/service-account.name"
_ACCOUNT_UID = "kubernetes.io/service-account.uid"
_RBAC = "rbac.authorization.k8s.io"
_AT_START = ("default", "kube-system", "kube-public", "kube-node-lease")
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_ROLES: dict[str, list[Json]] = {
    "cluster-admin": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "admin": [{"apiGroups": ["*"], "resources": ["*"], "verbs": [*_READ, *_WRITE]}],
    "edit": [
        {
            "apiGroups": ["", "apps", "batch", "autoscaling", "networking.k8s.io", "policy"],
            "resources": ["*"],
            "verbs": [*_READ, *_WRITE],
        }
    ],
    "view": [
        {
            "apiGroups": ["apps", "batch", "autoscaling", "networking.k8s.io", "policy"],
            "resources": ["*"],
            "verbs": _READ,
        },
        {
            "apiGroups": [""],
            "resources": [
                "configmaps",
                "endpoints",
                "events",
                "namespaces",
                "persistentvolumeclaims",
                "pods",
                "pods/log",
            ],
            "verbs": _READ,
        },
        {"apiGroups": [""], "resources": ["services", "serviceaccounts", "resourcequotas"], "verbs": _READ},
    ],
}


def furnish(work: Work) -> None:
    """Makes the namespaces and roles of a new cluster; takes up the definitions of an old one."""
    namespaces = work.kinds.core("namespaces")
    for name in _AT_START:
        if work.store.get(NAMESPACES, "", name) is None:
            work.operations.create(namespaces, "", _head("v1", "Namespace", name))
    for stored in work.store.all(NAMESPACES):
        work.ask(stored.key)
    roles = work.kinds.get(_RBAC, "clusterroles")
    for name, rules in _ROLES.items():
        if work.store.get(roles.key, "", name) is None:
            work.operations.create(roles, "", {**_head(roles.api_version, roles.kind, name), "rules": rules})
    for stored in work.store.all(DEFINITIONS):
        work.kinds.define(stored.body)


def _head(api_version: str, kind: str, name: str) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def furnish_namespace(work: Work, stored: Stored, authority: bytes) -> None:
    """The account and the authority that every namespace has."""
    name = stored.key[2]
    if is_going(stored.body):
        return
    if work.store.get(ACCOUNTS, name, "default") is None:
        kind = work.kinds.core("serviceaccounts")
        work.operations.create(kind, name, _head("v1", kind.kind, "default"))
    if work.store.get(("", "configmaps"), name, "kube-root-ca.crt") is None:
        kind = work.kinds.core("configmaps")
        body = {**_head("v1", kind.kind, "kube-root-ca.crt"), "data": {"ca.crt": authority.decode()}}
        work.operations.create(kind, name, body)


def fill_token(work: Work, stored: Stored, access: Access, authority: bytes) -> None:
    """The token in a Secret that was made for one; a Secret whose account does not exist goes."""
    secret = stored.body
    if secret.get("type") != TOKEN_TYPE or is_going(secret):
        return
    annotations = secret["metadata"].get("annotations") or {}
    account = work.store.get(ACCOUNTS, stored.key[1], annotations.get(_ACCOUNT, ""))
    uid = annotations.get(_ACCOUNT_UID)
    if account is None or (uid and uid != account.body["metadata"]["uid"]):
        work.delete(stored)
        return
    if (secret.get("data") or {}).get("token"):
        return
    parts = {
        "token": access.token_for(account.body).encode(),
        "ca.crt": authority,
        "namespace": stored.key[1].encode(),
    }

    def change(body: Json) -> Json:
        data = {name: base64.b64encode(value).decode() for name, value in parts.items()}
        body["data"] = {**(body.get("data") or {}), **data}
        body["metadata"]["annotations"] = {**annotations, _ACCOUNT_UID: account.body["metadata"]["uid"]}
        return body

    work.change(stored, change)


def establish(work: Work, stored: Stored) -> None:
    """One look at a CustomResourceDefinition: serves it, or clears away its objects when it is to go."""
    definition = stored.body
    if is_going(definition):
        _clear(work, stored)
        return
    work.kinds.define(definition)
    names = definition["spec"]["names"]
    status = clone(definition.get("status") or {})
    old = status.get("conditions") or []
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {
            "type": "Established",
            "status": "True",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    storage = [v["name"] for v in definition["spec"]["versions"] if v.get("storage")]
    known = status.get("storedVersions") or []
    status |= {
        "acceptedNames": names,
        "conditions": merged_conditions(old, conditions),
        "storedVersions": [*known, *(v for v in storage if v not in known)],
    }
    work.set_status(stored, status)


def _clear(work: Work, stored: Stored) -> None:
    """Deletes the definition's objects, then lets it go."""
    key = next((kind.key for kind in kinds_of(stored.body)), None)
    found = work.store.all(key) if key else []
    for custom in found:
        if not is_going(custom.body):
            work.delete(custom)
    if key and work.store.all(key):
        work.ask_in(stored.key, 0.3)
        return
    finalizers = [f for f in stored.body["metadata"].get("finalizers") or [] if f != CLEANUP]
    metadata = {**stored.body["metadata"], "finalizers": finalizers}
    put = work.store.put(work.kinds.get(*DEFINITIONS), {**stored.body, "metadata": metadata})
    if not finalizers:
        work.store.remove(put)


def silence(work: Work, node: Stored, *, silent: bool, before: Json | None = None) -> None:
    """Makes a node look as if its kubelet said nothing any more, or puts it back as it was (`before`)."""
    kind = work.kinds.core("nodes")
    current = work.store.get(*node.key)
    if current is None:
        return
    if not silent:
        assert before is not None
        work.store.put(kind, {**current.body, "spec": before["spec"], "status": before["status"]})
        return
    words = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    status = clone(current.body["status"])
    for entry in status.get("conditions") or []:
        entry |= {"status": "Unknown", "lastTransitionTime": stamp(), **words}
    taints = [
        {"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": stamp()}
        for effect in ("NoSchedule", "NoExecute")
    ]
    spec = {**current.body["spec"], "taints": [*(current.body["spec"].get("taints") or []), *taints]}
    work.store.put(kind, {**current.body, "spec": spec, "status": status})
    words_of_event = f"Node {node.key[2]} status is now: NodeNotReady"
    work.event(current.body, "Normal", "NodeNotReady", words_of_event, "node-controller")
