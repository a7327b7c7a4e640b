"""What cannot be changed on an existing object."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.kinds import Kind, rows
from sandbox.kubernetes.names import Causes
from sandbox.kubernetes.refusals import forbidden_value, invalid_value

# Fields that stay as they are, and kinds of whose spec only some fields may change.
_FIXED = """
Deployment ReplicaSet DaemonSet: spec.selector
Job: spec.completions spec.selector spec.template spec.completionMode
RoleBinding ClusterRoleBinding: roleRef
Secret: type
"""
_FREE = """
StatefulSet: replicas ordinals template updateStrategy revisionHistoryLimit persistentVolumeClaimRetentionPolicy
    minReadySeconds
Pod: tolerations activeDeadlineSeconds nodeName containers[*].image initContainers[*].image
PersistentVolumeClaim: resources volumeName volumeAttributesClassName
"""
_FIXED_FIELDS = {kind: fields.split() for kind, fields in rows(_FIXED).items()}
_FREE_FIELDS = {kind: fields.split() for kind, fields in rows(_FREE).items()}


def unchangeable(body: Json, old: Json, kind: Kind) -> Causes:
    """Every cause why the old object may not become the new one."""
    if kind.custom:
        return
    for path in _FIXED_FIELDS.get(kind.kind, ()):
        if _at(body, path) != _at(old, path):
            yield invalid_value(path, _at(body, path), "field is immutable")
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    free = _FREE_FIELDS.get(kind.kind)
    if free and _rest(spec, free) != _rest(before, free):
        yield forbidden_value("spec", f"updates to fields other than {', '.join(free)} are forbidden")
    if kind.kind == "Service" and before.get("clusterIP") and spec.get("type") != "ExternalName":
        if spec.get("clusterIP") != before["clusterIP"]:
            yield invalid_value("spec.clusterIP", spec.get("clusterIP", ""), "may not change once set")
    if kind.kind in ("ConfigMap", "Secret") and old.get("immutable"):
        for field in ("immutable", "data"):
            if body.get(field) != old.get(field):
                yield forbidden_value(field, "field is immutable when `immutable` is set")


def _at(body: Json, path: str) -> object:
    first, _, rest = path.partition(".")
    return (body.get(first) or {}).get(rest) if rest else body.get(first)


def _rest(spec: Json, free: list[str]) -> Json:
    """What of a spec must stay: of the containers (a pod's) all but their images."""
    rest = {name: value for name, value in spec.items() if name not in free}
    for name in rest.keys() & {"containers", "initContainers"}:
        rest[name] = [{**container, "image": ""} for container in rest[name]]
    return rest
