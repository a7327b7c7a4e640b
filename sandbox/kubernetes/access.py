"""The user of a request, by its token, and the user's rights, by the stored roles and bindings (RBAC).

The administrator's token is made once. ServiceAccounts have signed tokens that name account, uid and end.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterable
from typing import NamedTuple

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Store, encode

RBAC = "rbac.authorization.k8s.io"
_MASTERS, _KNOWN, _UNKNOWN = "system:masters", "system:authenticated", "system:unauthenticated"
_ACCOUNT = "system:serviceaccount:{}:{}"


def _rule(**of: list[str]) -> Json:
    return {**of, "verbs": ["*"]}


# What groups may without a binding, as by the real server's cluster-admin, system:public-info-viewer, discovery, basic-user.
_HEALTH = _rule(nonResourceURLs=["/healthz*", "/livez*", "/readyz*", "/version*"])
_DISCOVERY = _rule(nonResourceURLs=["/api*", "/openapi*"])
_REVIEWS = _rule(apiGroups=["authentication.k8s.io", "authorization.k8s.io"], resources=["*"])
_GIVEN = {
    _MASTERS: [_rule(apiGroups=["*"], resources=["*"]), _rule(nonResourceURLs=["*"])],
    _KNOWN: [_HEALTH, _DISCOVERY, _REVIEWS],
    _UNKNOWN: [_HEALTH],
}


class User(NamedTuple):
    """The user of a request."""

    name: str
    groups: tuple[str, ...]

    @property
    def is_master(self) -> bool:
        return _MASTERS in self.groups


class Act(NamedTuple):
    """Something that is asked for: a verb on a resource, or on a path outside of the resources."""

    verb: str
    group: str = ""
    resource: str = ""  # with its subresource: pods/log
    namespace: str = ""
    name: str = ""
    path: str = ""


class Access:
    """Knows the tokens and reads the roles."""

    def __init__(self, store: Store, *, admin_token: str, signing_key: bytes) -> None:
        self._store = store
        self._admin = admin_token
        self._key = signing_key

    def user_of(self, authorization: str) -> User:
        """The user of this header. Raises Refused (401) for unknown tokens."""
        if not authorization:
            return User("system:anonymous", (_UNKNOWN,))
        token = authorization[7:] if authorization.lower().startswith("bearer ") else ""
        if hmac.compare_digest(token.encode(), self._admin.encode()):
            return User("admin", (_MASTERS, _KNOWN))
        head, _, signature = token.rpartition(".")
        if hmac.compare_digest(self._signature(head).encode(), signature.encode()):
            claims = json.loads(base64.urlsafe_b64decode(head.partition(".")[2] + "=="))
            namespace, name = claims["sub"].split(":")[2:]
            account = self._store.get(("", "serviceaccounts"), namespace, name)
            ended = claims.get("exp", time.time()) < int(time.time())
            if account is not None and account.body["metadata"]["uid"] == claims["uid"] and not ended:
                groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _KNOWN)
                return User(claims["sub"], groups)
        raise Refused(401, "Unauthorized", "Unauthorized")

    def token_for(self, account: Json, *, seconds: int = 0) -> str:
        """A token of a ServiceAccount object; it ends after `seconds`, or with the account (0)."""
        metadata = account["metadata"]
        claims = {"sub": _ACCOUNT.format(metadata["namespace"], metadata["name"]), "uid": metadata["uid"]}
        if seconds:
            claims["exp"] = int(time.time()) + seconds
        head = f"{_base64(encode({'alg': 'HS256'}))}.{_base64(encode(claims))}"
        return f"{head}.{self._signature(head)}"

    def _signature(self, head: str) -> str:
        return _base64(hmac.digest(self._key, head.encode(), "sha256"))

    def allows(self, user: User, act: Act) -> bool:
        """Whether some role grants it."""
        return any(_grants(rule, act) for rule in self.rules_of(user, act.namespace))

    def require(self, user: User, act: Act) -> None:
        """Raises Refused (403) when no role grants it."""
        if not self.allows(user, act):
            raise _denied(user, act)

    def rules_of(self, user: User, namespace: str) -> list[Json]:
        """The rules that a user has in a namespace ("": in the whole cluster)."""
        if user.is_master:
            return _GIVEN[_MASTERS]
        rules = [rule for group in user.groups for rule in _GIVEN.get(group, [])]
        bindings = self._store.bodies((RBAC, "clusterrolebindings"))
        if namespace:
            bindings += self._store.bodies((RBAC, "rolebindings"), namespace)
        for binding in bindings:
            home, role = binding["metadata"].get("namespace", ""), binding["roleRef"]
            if any(_is_subject(user, subject, home) for subject in binding.get("subjects") or []):
                where = home if role["kind"] == "Role" else ""
                found = self._store.get((RBAC, f"{role['kind'].lower()}s"), where, role["name"])
                rules += (found.body.get("rules") or []) if found else []
        return rules


def _is_subject(user: User, subject: Json, namespace: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user.name == _ACCOUNT.format(subject.get("namespace") or namespace, subject["name"])
    return subject["name"] in (user.groups if subject["kind"] == "Group" else (user.name,))


def _grants(rule: Json, act: Act) -> bool:
    if not has(rule.get("verbs"), act.verb):
        return False
    if act.path:
        urls = rule.get("nonResourceURLs") or []
        return any(act.path == u or (u.endswith("*") and act.path.startswith(u[:-1])) for u in urls)
    names, sub = rule.get("resourceNames"), act.resource.partition("/")[2]
    return (
        has(rule.get("resources"), act.resource, f"*/{sub}")
        and has(rule.get("apiGroups"), act.group)
        and (not names or act.name in names)
    )


def has(choices: Iterable[str] | None, *wanted: str) -> bool:
    """Whether a rule's choices hold one of some words, or `*`."""
    return not {"*", *wanted}.isdisjoint(choices or ())


def _denied(user: User, act: Act) -> Refused:
    cannot = f'forbidden: User "{user.name}" cannot {act.verb}'
    if act.path:
        return Refused(403, "Forbidden", f'{cannot} path "{act.path}"', {})
    scope = f'in the namespace "{act.namespace}"' if act.namespace else "at the cluster scope"
    plural = act.resource.partition("/")[0]
    subject = f"{plural}.{act.group}".rstrip(".") + (f' "{act.name}"' if act.name else "")
    message = f'{subject} is {cannot} resource "{act.resource}" in API group "{act.group}" {scope}'
    return Refused(403, "Forbidden", message, {"kind": plural})


def act_on(kind: Kind, verb: str, namespace: str, name: str, subresource: str = "") -> Act:
    """The act of a request."""
    return Act(verb, kind.group, f"{kind.plural}/{subresource}".rstrip("/"), namespace, name)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
