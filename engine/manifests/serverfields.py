"""Fields that only the API server or a controller writes. `kubectl get -o yaml` prints them, so they come into files.

A manifest that holds them asks for the object of another cluster (`uid`), for an old version of it (`resourceVersion`), or
fights with a controller. They have no meaning in a manifest and are left out.
"""

from __future__ import annotations

from engine.manifests.documents import group_of
from engine.manifests.masking import LAST_APPLIED, without_last_applied
from engine.manifests.references import mapping_of
from engine.types import Json

_METADATA = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink", "managedFields",
)  # fmt: skip
_REVISION = "deployment.kubernetes.io/revision"  # counted by the controller of Deployments


def without_server_fields(body: Json) -> tuple[Json, tuple[str, ...]]:
    """The object without these fields, and the paths of those that held something. The same object if it has none."""
    annotations = mapping_of(body["metadata"].get("annotations"))
    found = [f"metadata.{name}" for name in _METADATA if name in body["metadata"]]
    if LAST_APPLIED in annotations:
        found.append(f"metadata.annotations[{LAST_APPLIED}]")
    if body["kind"] == "Deployment" and _REVISION in annotations:
        found.append(f"metadata.annotations[{_REVISION}]")
    if "status" in body and _is_kubernetes_own(body):
        found.append("status")
    if not found:
        return body, ()
    return _without(body, found), tuple(path for path in found if _holds_something(body, path))


def _is_kubernetes_own(body: Json) -> bool:
    """Whether the kind's status is the server's. Kinds of others may keep anything under that name."""
    group = group_of(body["apiVersion"])
    return "." not in group or group.endswith(".k8s.io")


def _without(body: Json, found: list[str]) -> Json:
    body = without_last_applied(body)
    metadata = {name: value for name, value in body["metadata"].items() if name not in _METADATA}
    if f"metadata.annotations[{_REVISION}]" in found:
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _REVISION}
    kept = {name: value for name, value in body.items() if name != "status" or "status" not in found}
    return {**kept, "metadata": metadata}


def _holds_something(body: Json, path: str) -> bool:
    """`creationTimestamp: null` and `status: {}` say nothing: `kubectl create --dry-run` writes them everywhere."""
    if path == "status":
        return bool(body["status"])
    return "[" in path or body["metadata"].get(path.removeprefix("metadata.")) not in (None, {}, [], "")
