"""Admission webhooks: which would be asked. None is ever called: nothing that a played pod serves can be reached.

So a webhook that must be asked (failurePolicy Fail) refuses, as it does on a real control plane with played nodes.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import selects
from sandbox.kubernetes.store import Store

_GROUP = "admissionregistration.k8s.io"
_CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


def ask(store: Store, kind: Kind, operation: str, body: Json, *, dry_run: bool) -> None:
    """Raises Refused (500, or 400 for a dry run that it does not allow) when a webhook would have to be asked."""
    if kind.group == _GROUP:
        return
    for hook in _hooks(store):
        if hook.get("failurePolicy") != "Fail" or not _concerns(hook, kind, operation, body, store):
            continue
        name = hook["name"]
        if dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise Refused(400, "BadRequest", f'admission webhook "{name}" does not support dry run')
        raise Refused(
            500, "InternalError", f'Internal error occurred: failed calling webhook "{name}": {_why(hook)}'
        )


def _hooks(store: Store) -> Iterator[Json]:
    for plural in _CONFIGURATIONS:
        for configuration in store.bodies((_GROUP, plural)):
            yield from configuration.get("webhooks") or []


def _concerns(hook: Json, kind: Kind, operation: str, body: Json, store: Store) -> bool:
    if not any(_matches(rule, kind, operation) for rule in hook.get("rules") or []):
        return False
    metadata = body["metadata"]
    if kind.namespaced:
        home = store.get(("", "namespaces"), "", metadata.get("namespace", ""))
        labels = (home.body["metadata"].get("labels") or {}) if home else {}
        if not selects(hook.get("namespaceSelector") or {}, labels):
            return False
    return selects(hook.get("objectSelector") or {}, metadata.get("labels") or {})


def _matches(rule: Json, kind: Kind, operation: str) -> bool:
    scope = rule.get("scope", "*")
    return (
        bool({"*", operation} & set(rule.get("operations") or []))
        and bool({"*", kind.group} & set(rule.get("apiGroups") or []))
        and bool({"*", kind.version} & set(rule.get("apiVersions") or []))
        and bool({"*", "*/*", kind.plural} & set(rule.get("resources") or []))
        and scope in ("*", "Namespaced" if kind.namespaced else "Cluster")
    )


def _why(hook: Json) -> str:
    """The words of a call that finds nobody."""
    service = hook["clientConfig"].get("service")
    if not service:
        return f'failed to call webhook: Post "{hook["clientConfig"].get("url", "")}": connect: connection refused'
    name, namespace = service["name"], service["namespace"]
    path, seconds = service.get("path", ""), hook.get("timeoutSeconds", 10)
    url = f"https://{name}.{namespace}.svc:{service.get('port', 443)}{path}?timeout={seconds}s"
    return f'failed to call webhook: Post "{url}": no endpoints available for service "{name}"'
