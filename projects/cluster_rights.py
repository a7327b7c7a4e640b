"""The rights on a cluster that a deploy needs."""

from __future__ import annotations

from adapters.kubernetes.client import Right

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
