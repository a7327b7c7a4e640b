"""ResourceQuota: refuses what would be too many objects of a kind in a namespace (amounts of cpu and memory are not counted)."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Store

_QUOTAS = ("", "resourcequotas")


def check(store: Store, kind: Kind, body: Json) -> None:
    """Raises Refused (403) when one more object of the kind is too many."""
    if not kind.namespaced:
        return
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    for quota in store.bodies(_QUOTAS, namespace):
        hard = (quota.get("spec") or {}).get("hard") or {}
        for resource in (f"count/{kind.full_plural}", kind.plural if not kind.group else ""):
            if resource not in hard:
                continue
            used = sum(_counts(kind, found) for found in store.bodies(kind.key, namespace))
            if used + 1 > int(hard[resource]):
                raise _exceeded(kind, name, quota["metadata"]["name"], resource, used, hard[resource])


def _counts(kind: Kind, body: Json) -> bool:
    """Pods that have ended leave room."""
    return kind.kind != "Pod" or (body.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _exceeded(kind: Kind, name: str, quota: str, resource: str, used: int, limit: object) -> Refused:
    numbers = f"requested: {resource}=1, used: {resource}={used}, limited: {resource}={limit}"
    message = f'{kind.full_plural} "{name}" is forbidden: exceeded quota: {quota}, {numbers}'
    group = {"group": kind.group} if kind.group else {}
    return Refused(403, "Forbidden", message, {"name": name, **group, "kind": kind.plural})
