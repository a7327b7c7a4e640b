"""ResourceQuota: refuses too many objects of a kind in a namespace. It does not count cpu and memory."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Store


def check(store: Store, kind: Kind, body: Json) -> None:
    """Raises Refused (403) when one more object of the kind is too many. Pods that have ended leave room."""
    namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
    for quota in store.bodies(("", "resourcequotas"), namespace) if kind.namespaced else ():
        hard = (quota.get("spec") or {}).get("hard") or {}
        for resource in {f"count/{kind.full_plural}", kind.full_plural} & hard.keys():
            found = store.bodies(kind.key, namespace)
            ended = ("Succeeded", "Failed") if kind.kind == "Pod" else ()
            used = sum((b.get("status") or {}).get("phase") not in ended for b in found)
            if used + 1 > int(hard[resource]):
                numbers = (
                    f"requested: {resource}=1, used: {resource}={used}, limited: {resource}={hard[resource]}"
                )
                why = f"exceeded quota: {quota['metadata']['name']}, {numbers}"
                message = f'{kind.full_plural} "{name}" is forbidden: {why}'
                raise Refused(403, "Forbidden", message, {"name": name, "kind": kind.plural})
