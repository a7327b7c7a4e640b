"""Nobody may grant more than they have: roles and bindings are refused whose rules their author does not hold.

(k8s.io/kubernetes/pkg/registry/rbac: escalation_check.go, validation/rule.go, validation/policy_compact.go.)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from engine.types import Json
from sandbox.kubernetes.access import RBAC, Access, Act, User
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused, about
from sandbox.kubernetes.store import Store

_ROLES = ("Role", "ClusterRole")
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")


def check(access: Access, store: Store, user: User, kind: Kind, body: Json) -> None:
    """Raises Refused (403) when the object grants rights that the user lacks, with all of them."""
    if kind.group != RBAC or user.is_master:
        return
    namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
    if kind.kind in _ROLES:
        rules, verb, what, which = body.get("rules") or [], "escalate", kind.plural, name
    elif kind.kind in _BINDINGS:
        reference = body.get("roleRef") or {}
        rules = _rules_of(store, reference, namespace)
        verb, what, which = "bind", f"{str(reference.get('kind')).lower()}s", str(reference.get("name"))
    else:
        return
    if access.allows(user, Act(verb, RBAC, what, namespace, which)):
        return
    if missing := sorted(_missing(access, user, namespace, rules)):
        raise _refused(user, kind, name, missing)


def _rules_of(store: Store, reference: Json, namespace: str) -> list[Json]:
    where = namespace if reference.get("kind") == "Role" else ""
    found = store.get((RBAC, f"{str(reference.get('kind')).lower()}s"), where, str(reference.get("name")))
    return (found.body.get("rules") or []) if found else []


def _missing(access: Access, user: User, namespace: str, rules: list[Json]) -> Iterator[str]:
    """What is lacking, one text for each resource, with its verbs together."""
    for rule in rules:
        verbs = rule.get("verbs") or []
        for url in rule.get("nonResourceURLs") or []:
            lacking = [verb for verb in verbs if not access.allows(user, Act(verb, path=url))]
            if lacking:
                yield f"{{NonResourceURLs:{_shown([url])}, Verbs:{_shown(lacking)}}}"
        names = rule.get("resourceNames") or []
        for group, resource, name in product(
            rule.get("apiGroups") or [], rule.get("resources") or [], names or [""]
        ):
            asked = [(verb, Act(verb, group, resource, namespace, name)) for verb in verbs]
            lacking = [verb for verb, act in asked if not access.allows(user, act)]
            if lacking:
                named = f", ResourceNames:{_shown([name])}" if name else ""
                yield (
                    f"{{APIGroups:{_shown([group])}, Resources:{_shown([resource])}{named}, Verbs:{_shown(lacking)}}}"
                )


def _shown(values: list[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


def _refused(user: User, kind: Kind, name: str, missing: list[str]) -> Refused:
    who = f'user "{user.name}" (groups={_shown(list(user.groups))})'
    words = f"{who} is attempting to grant RBAC permissions not currently held:\n" + "\n".join(missing)
    message = f'{kind.full_plural} "{name}" is forbidden: {words}'
    return Refused(403, "Forbidden", message, about(kind, name))
