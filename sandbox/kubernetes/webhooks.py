"""Admission webhooks: which would be asked. None is ever called: nothing that a played pod serves can be reached.

So a webhook that must be asked (failurePolicy Fail) refuses, as it does on a real control plane with played nodes.
"""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.access import has
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import selects
from sandbox.kubernetes.store import Store

_GROUP = "admissionregistration.k8s.io"
_CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


def ask(store: Store, kind: Kind, operation: str, body: Json, *, dry_run: bool) -> None:
    """Raises Refused (500, or 400 for a dry run that it does not allow) when a webhook would have to be asked."""
    configurations = [c for plural in _CONFIGURATIONS for c in store.bodies((_GROUP, plural))]
    for hook in (hook for configuration in configurations for hook in configuration.get("webhooks") or []):
        if kind.group == _GROUP or hook.get("failurePolicy") != "Fail":
            continue
        if not _concerns(hook, kind, operation, body, store):
            continue
        if dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            words = f'admission webhook "{hook["name"]}" does not support dry run'
            raise Refused(400, "BadRequest", words)
        words = (
            f'failed calling webhook "{hook["name"]}": failed to call webhook: {_why(hook["clientConfig"])}'
        )
        raise Refused(500, "InternalError", f"Internal error occurred: {words}")


def _concerns(hook: Json, kind: Kind, operation: str, body: Json, store: Store) -> bool:
    if not any(_matches(rule, kind, operation) for rule in hook.get("rules") or []):
        return False
    metadata = body["metadata"]
    home = store.get(("", "namespaces"), "", metadata.get("namespace", ""))
    if home and not selects(hook.get("namespaceSelector") or {}, home.body["metadata"].get("labels") or {}):
        return False
    return selects(hook.get("objectSelector") or {}, metadata.get("labels") or {})


def _matches(rule: Json, kind: Kind, operation: str) -> bool:
    return (
        has(rule.get("operations"), operation)
        and has(rule.get("apiGroups"), kind.group)
        and has(rule.get("apiVersions"), kind.version)
        and has(rule.get("resources"), kind.plural, "*/*")
        and has([rule.get("scope", "*")], "Namespaced" if kind.namespaced else "Cluster")
    )


def _why(client: Json) -> str:
    """The words of a call that finds nobody."""
    if not (service := client.get("service")):
        return f'Post "{client.get("url", "")}": connect: connection refused'
    host = f"{service['name']}.{service['namespace']}.svc:{service.get('port', 443)}{service.get('path', '')}"
    return f'Post "https://{host}?timeout=10s": no endpoints available for service "{service["name"]}"'
