"""The rights on a cluster that deploys need, and those that the pull credentials need."""

from __future__ import annotations

import json
from collections.abc import Sequence

from adapters.kubernetes.client import KubernetesClient, Right
from core.findings import PASSED, WARNING, Finding

_WORKLOADS = (("apps", "deployments"), ("apps", "statefulsets"), ("apps", "daemonsets"), ("batch", "jobs"))
_APPLIED = (
    *_WORKLOADS, ("batch", "cronjobs"), ("", "configmaps"), ("", "secrets"), ("", "services"), ("", "serviceaccounts"),
    ("", "persistentvolumeclaims"), ("networking.k8s.io", "ingresses"),
)  # fmt: skip
_WATCHED = (*_WORKLOADS, ("apps", "replicasets"), ("", "pods"), ("", "events"))


def rights_needed(namespace: str = "") -> list[Right]:
    """The rights that a deploy of the usual kinds needs in a namespace (empty: in all): apply, watch, read logs."""
    apply = [
        Right(verb, group, kind, namespace) for group, kind in _APPLIED for verb in ("get", "create", "patch")
    ]
    watch = [Right(verb, group, kind, namespace) for group, kind in _WATCHED for verb in ("list", "watch")]
    return [*apply, *watch, Right("get", "", "pods/log", namespace)]


def rights_for_pulls() -> list[Right]:
    """The rights on the whole cluster with which the portal keeps image pull secrets valid, beside those of deploys. Without the
    right to list, Secrets are read one by one, and only those of environments are kept."""
    every = [
        Right(verb, "", kind)
        for kind in ("secrets", "serviceaccounts")
        for verb in ("get", "list", "create", "patch")
    ]
    return [
        Right("list", "", "namespaces"), *(r for r in every if (r.verb, r.resource) != ("create", "serviceaccounts"))
    ]  # fmt: skip


def rights_for_namespaces() -> list[Right]:
    """The rights on the whole cluster with which the portal tells whether an environment's namespace exists, and makes it."""
    return [Right("get", "", "namespaces"), Right("create", "", "namespaces")]


def every_right() -> list[Right]:
    """All rights on the whole cluster that the portal checks, each once."""
    return [*dict.fromkeys([*rights_needed(), *rights_for_pulls(), *rights_for_namespaces()])]


def rules_of(rights: Sequence[Right]) -> list[dict[str, list[str]]]:
    """The rules of a Role or ClusterRole that give exactly these rights."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource), []).append(right.verb)
    return [
        {"apiGroups": [group], "resources": [kind], "verbs": given} for (group, kind), given in verbs.items()
    ]


def rules_for(rights: Sequence[Right]) -> str:
    """The rules of a Role or ClusterRole that give exactly these rights, as one line of YAML."""
    rules = [
        ", ".join(f"{name}: {json.dumps(values)}" for name, values in rule.items())
        for rule in rules_of(rights)
    ]
    return f"rules: [{', '.join(f'{{{rule}}}' for rule in rules)}]"


def deploy_finding(client: KubernetesClient, name: str, field: str, state: str) -> Finding:
    """Whether the account may do all that deploys need in a namespace (empty: in all); `state`: of the finding when it may not.
    Raises ExternalError."""
    missing = client.can(rights_needed(name))
    where = f"in {name}" if name else "in every namespace"
    if not missing:
        return Finding(PASSED, f"The account may do all that deploys need {where}.")
    hint = f"Give its role these rules. A deploy fails at the first object it may not write. {rules_for(missing)}"
    return Finding(
        state, f"The account lacks rights {where}: {_some(missing)}.", hint, field, can_override=True
    )


def pull_finding(client: KubernetesClient, field: str) -> Finding:
    """Whether the account may keep image pull secrets valid in every namespace. Raises ExternalError."""
    missing = client.can(rights_for_pulls())
    if not missing:
        return Finding(PASSED, "The account may keep image pull secrets valid in every namespace.")
    text = f"The account lacks rights for image pull secrets in every namespace: {_some(missing)}."
    hint = f"Give its ClusterRole these rules. Until then the portal keeps only what it may. {rules_for(missing)}"
    return Finding(WARNING, text, hint, field, can_override=True)


def namespace_findings(client: KubernetesClient, field: str) -> list[Finding]:
    """A finding when the account may not look at namespaces, or not make them. Raises ExternalError."""
    missing = client.can(rights_for_namespaces())
    if not missing:
        return []
    text = f"The account lacks rights for namespaces: {_some(missing)}."
    hint = f"Give its ClusterRole these rules, or create each environment's namespace yourself. {rules_for(missing)}"
    return [Finding(WARNING, text, hint, field, can_override=True)]


def _some(missing: Sequence[Right]) -> str:
    names = ", ".join(f"{right.verb} {right.resource}" for right in missing[:6])
    return f"{names} and {len(missing) - 6} more" if len(missing) > 6 else names
