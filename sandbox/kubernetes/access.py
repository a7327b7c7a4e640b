"""Who asks, by token, and what they may: roles and bindings as they are stored (RBAC).

The administrator's token is made once. ServiceAccounts have signed tokens that name account, uid and end.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Store, encode

RBAC = "rbac.authorization.k8s.io"
_AUTHENTICATED, _ANONYMOUS = "system:authenticated", "system:unauthenticated"
_OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_DISCOVERY = ("/api", "/apis", "/openapi", *_OPEN_PATHS)
_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews")
_EVERYTHING = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


@dataclass(frozen=True)
class User:
    """Somebody who asks."""

    name: str
    groups: tuple[str, ...]

    @property
    def is_master(self) -> bool:
        return "system:masters" in self.groups


@dataclass(frozen=True)
class Act:
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
        self._rules: dict[User, list[tuple[Json, str]]] = {}
        self._rules_version = -1

    # --- tokens ----------------------------------------------------------------------------------------------------

    def user_of(self, authorization: str) -> User:
        """Who sends this header. Raises Refused (401) for tokens that nobody has."""
        if not authorization:
            return User("system:anonymous", (_ANONYMOUS,))
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            if hmac.compare_digest(token.encode(), self._admin.encode()):
                return User("admin", ("system:masters", _AUTHENTICATED))
            if account := self._account_of(token):
                namespace, name = account
                groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED)
                return User(f"system:serviceaccount:{namespace}:{name}", groups)
        raise Refused(401, "Unauthorized", "Unauthorized")

    def token_for(self, account: Json, *, seconds: int = 0) -> str:
        """A token of a ServiceAccount object; it ends after `seconds`, or with the account (0)."""
        metadata = account["metadata"]
        claims = {
            "iss": "https://kubernetes.default.svc",
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
            "uid": metadata["uid"],
        }
        if seconds:
            claims["exp"] = int(time.time()) + seconds
        body = f"{_base64(encode({'alg': 'HS256'}))}.{_base64(encode(claims))}"
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        return _base64(hmac.new(self._key, body.encode(), hashlib.sha256).digest())

    def _account_of(self, token: str) -> tuple[str, str] | None:
        """The namespace and name of the account that a good token names."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode()):
            return None
        claims = json.loads(base64.urlsafe_b64decode(body.partition(".")[2] + "=="))
        if claims.get("exp", time.time() + 1) < time.time():
            return None
        namespace, name = claims["sub"].split(":")[2:]
        account = self._store.get(("", "serviceaccounts"), namespace, name)
        alive = account is not None and account.body["metadata"]["uid"] == claims["uid"]
        return (namespace, name) if alive else None

    # --- rights ----------------------------------------------------------------------------------------------------

    def allows(self, user: User, act: Act) -> bool:
        """Whether some role grants it."""
        if user.is_master or (act.path and self._is_open(user, act.path)):
            return True
        if act.resource in _REVIEWS and _AUTHENTICATED in user.groups:
            return act.verb == "create"
        return any(
            _grants(rule, act) for rule, namespace in self._rules_of(user) if namespace in ("", act.namespace)
        )

    def require(self, user: User, act: Act) -> None:
        """Raises Refused (403) when no role grants it."""
        if not self.allows(user, act):
            raise _denied(user, act)

    def rules_of(self, user: User, namespace: str) -> list[Json]:
        """The rules that hold for somebody in a namespace."""
        if user.is_master:
            return _EVERYTHING
        return [rule for rule, where in self._rules_of(user) if where in ("", namespace)]

    def _is_open(self, user: User, path: str) -> bool:
        prefixes = _DISCOVERY if _AUTHENTICATED in user.groups else _OPEN_PATHS
        return any(path == p or path.startswith(f"{p}/") for p in prefixes)

    def _rules_of(self, user: User) -> list[tuple[Json, str]]:
        """Every rule that binds a user, with the namespace it holds in ("": all). Kept until something changes."""
        if self._rules_version != self._store.version:
            self._rules.clear()
            self._rules_version = self._store.version
        if user not in self._rules:
            self._rules[user] = list(self._find_rules(user))
        return self._rules[user]

    def _find_rules(self, user: User) -> Iterator[tuple[Json, str]]:
        for plural in ("clusterrolebindings", "rolebindings"):
            for binding in self._store.bodies((RBAC, plural)):
                namespace = binding["metadata"].get("namespace", "")
                if any(_is_subject(user, s, namespace) for s in binding.get("subjects") or []):
                    for rule in self._role(binding["roleRef"], namespace):
                        yield rule, namespace

    def _role(self, reference: Json, namespace: str) -> list[Json]:
        if reference["kind"] == "ClusterRole":
            role = self._store.get((RBAC, "clusterroles"), "", reference["name"])
        else:
            role = self._store.get((RBAC, "roles"), namespace, reference["name"])
        return (role.body.get("rules") or []) if role else []


def _is_subject(user: User, subject: Json, namespace: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{subject['name']}"
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    return subject["name"] == user.name


def _grants(rule: Json, act: Act) -> bool:
    if not _has(rule.get("verbs"), act.verb):
        return False
    if act.path:
        urls = rule.get("nonResourceURLs") or []
        return any(act.path == u or (u.endswith("*") and act.path.startswith(u[:-1])) for u in urls)
    names = rule.get("resourceNames") or []
    if names and act.name not in names:
        return False
    resources = rule.get("resources") or []
    sub = act.resource.partition("/")[2]
    named = act.resource in resources or "*" in resources or bool(sub and f"*/{sub}" in resources)
    return named and _has(rule.get("apiGroups"), act.group)


def _has(choices: list[str] | None, wanted: str) -> bool:
    return bool(choices) and ("*" in (choices or []) or wanted in (choices or []))


def _denied(user: User, act: Act) -> Refused:
    if act.path:
        message = f'forbidden: User "{user.name}" cannot {act.verb} path "{act.path}"'
        return Refused(403, "Forbidden", message, {})
    scope = f'in the namespace "{act.namespace}"' if act.namespace else "at the cluster scope"
    plural = act.resource.partition("/")[0]
    full = f"{plural}.{act.group}" if act.group else plural
    named = f' "{act.name}"' if act.name else ""
    message = (
        f'{full}{named} is forbidden: User "{user.name}" cannot {act.verb} resource "{act.resource}" '
        f'in API group "{act.group}" {scope}'
    )
    details = {"name": act.name, "group": act.group, "kind": plural}
    return Refused(403, "Forbidden", message, {k: v for k, v in details.items() if v})


def act_on(kind: Kind, verb: str, namespace: str, name: str, subresource: str = "") -> Act:
    """The act of a request."""
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return Act(verb, kind.group, resource, namespace, name)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
