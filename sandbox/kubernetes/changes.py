"""Changes of an existing object that the server refuses."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.kinds import Kind, rows
from sandbox.kubernetes.names import Causes
from sandbox.kubernetes.refusals import forbidden_value, invalid_value
from sandbox.kubernetes.selectors import find

# Kinds of whose spec only some fields may change.
_FREE = rows("""
StatefulSet: replicas ordinals template updateStrategy revisionHistoryLimit persistentVolumeClaimRetentionPolicy minReadySeconds
Pod: tolerations activeDeadlineSeconds nodeName containers[*].image initContainers[*].image
PersistentVolumeClaim: resources volumeName volumeAttributesClassName
""")


def unchangeable(body: Json, old: Json, kind: Kind) -> Causes:
    """Every cause why the old object may not become the new one."""
    if kind.custom:
        return
    for path in kind.fixed:
        if find(body, path) != find(old, path):
            yield invalid_value(path, next(iter(find(body, path)), None), "field is immutable")
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    free = _FREE.get(kind.kind, "").split()
    if free and _rest(spec, free) != _rest(before, free):
        yield forbidden_value("spec", f"updates to fields other than {', '.join(free)} are forbidden")
    address = before.get("clusterIP") if kind.kind == "Service" and spec.get("type") != "ExternalName" else ""
    if address and spec.get("clusterIP") != address:
        yield invalid_value("spec.clusterIP", spec.get("clusterIP", ""), "may not change once set")
    for field in (
        ("immutable", "data") if kind.kind in ("ConfigMap", "Secret") and old.get("immutable") else ()
    ):
        if body.get(field) != old.get(field):
            yield forbidden_value(field, "field is immutable when `immutable` is set")


def _rest(spec: Json, free: list[str]) -> Json:
    """The part of a spec that must stay: without the fields in `free`; containers without their images."""
    rest = {name: value for name, value in spec.items() if name not in free}
    for name in rest.keys() & {"containers", "initContainers"}:
        rest[name] = [{**container, "image": ""} for container in rest[name]]
    return rest
