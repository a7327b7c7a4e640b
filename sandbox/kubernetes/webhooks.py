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
_RULE = ("operations", "apiGroups", "apiVersions", "resources")


def ask(store: Store, kind: Kind, operation: str, body: Json, *, dry_run: bool) -> None:
    """Raises Refused (500, or 400 for a dry run that it does not allow) when a webhook would have to be asked."""
    configurations = [c for plural in _CONFIGURATIONS for c in store.bodies((_GROUP, plural))]
    for hook in [hook for configuration in configurations for hook in configuration.get("webhooks") or []]:
        if hook.get("failurePolicy") == "Fail" and _concerns(hook, kind, operation, body, store):
            if dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
                words = f'admission webhook "{hook["name"]}" does not support dry run'
                raise Refused(400, "BadRequest", words)
            why = f'failed calling webhook "{hook["name"]}": failed to call webhook: {_why(hook)}'
            raise Refused(500, "InternalError", f"Internal error occurred: {why}")


def _concerns(hook: Json, kind: Kind, operation: str, body: Json, store: Store) -> bool:
    if kind.group == _GROUP or not any(_matches(r, kind, operation) for r in hook.get("rules") or []):
        return False
    metadata = body["metadata"]
    home = store.get(("", "namespaces"), "", metadata.get("namespace", ""))
    if home and not selects(hook.get("namespaceSelector") or {}, home.body["metadata"].get("labels") or {}):
        return False
    return selects(hook.get("objectSelector") or {}, metadata.get("labels") or {})


def _matches(rule: Json, kind: Kind, operation: str) -> bool:
    asked = zip(_RULE, (operation, kind.group, kind.version, kind.plural), strict=True)
    scope = "Namespaced" if kind.namespaced else "Cluster"
    return rule.get("scope", "*") in ("*", scope) and all(has(rule.get(f), w, "*/*") for f, w in asked)


def _why(hook: Json) -> str:
    """The message of a call that reaches no webhook."""
    service = hook["clientConfig"].get("service")
    if not service:
        return f'Post "{hook["clientConfig"].get("url", "")}": connect: connection refused'
    url = f"https://{service['name']}.{service['namespace']}.svc:{service.get('port', 443)}{service.get('path', '')}"
    return f'Post "{url}": no endpoints available for service "{service["name"]}"'
