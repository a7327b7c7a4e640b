"""What cannot be changed on an existing object."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.names import Causes
from sandbox.kubernetes.refusals import (
    forbidden_value,
    invalid_value,
)

_IMMUTABLE = "field is immutable"


def unchangeable(body: Json, old: Json, kind: Kind) -> Causes:
    """Every cause why the old object may not become the new one."""
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    if kind.group == "apps" and kind.kind in ("Deployment", "ReplicaSet", "DaemonSet"):
        if spec.get("selector") != before.get("selector"):
            yield invalid_value("spec.selector", spec.get("selector"), _IMMUTABLE)
    elif kind.kind == "StatefulSet":
        yield from _stateful_set_change(spec, before)
    elif kind.kind == "Job":
        yield from _job_change(spec, before)
    elif kind.kind == "Service" and before.get("clusterIP") and spec.get("type") != "ExternalName":
        if spec.get("clusterIP") != before["clusterIP"]:
            yield invalid_value("spec.clusterIP", spec.get("clusterIP", ""), "may not change once set")
    elif kind.kind == "Pod":
        yield from _pod_change(spec, before)
    elif kind.kind in ("ConfigMap", "Secret"):
        yield from _data_change(body, old)
    elif kind.kind in ("RoleBinding", "ClusterRoleBinding") and body.get("roleRef") != old.get("roleRef"):
        yield invalid_value("roleRef", body.get("roleRef"), "cannot change roleRef")
    elif kind.kind == "PersistentVolumeClaim" and before.get("storageClassName") != spec.get(
        "storageClassName"
    ):
        yield forbidden_value("spec", "spec is immutable after creation except resources.requests")


def _stateful_set_change(spec: Json, before: Json) -> Causes:
    free = (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    )
    if any(spec.get(f) != before.get(f) for f in {*spec, *before} if f not in free):
        names = ", ".join(f"'{name}'" for name in free[:-1])
        words = (
            f"updates to statefulset spec for fields other than {names} and 'minReadySeconds' are forbidden"
        )
        yield forbidden_value("spec", words)


def _job_change(spec: Json, before: Json) -> Causes:
    for field in ("completions", "selector", "template", "completionMode"):
        if spec.get(field) != before.get(field):
            yield invalid_value(f"spec.{field}", spec.get(field), _IMMUTABLE)


def _pod_change(spec: Json, before: Json) -> Causes:
    def fixed(value: Json) -> Json:
        bare = {
            k: v for k, v in value.items() if k not in ("tolerations", "activeDeadlineSeconds", "nodeName")
        }
        for field in ("containers", "initContainers"):
            if field in bare:
                bare[field] = [{**c, "image": ""} for c in bare[field]]
        return bare

    if fixed(spec) != fixed(before):
        words = (
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)"
        )
        yield forbidden_value("spec", words)


def _data_change(body: Json, old: Json) -> Causes:
    if old.get("immutable"):
        if not body.get("immutable"):
            yield forbidden_value("immutable", "field is immutable when `immutable` is set")
        if body.get("data") != old.get("data"):
            yield forbidden_value("data", "field is immutable when `immutable` is set")
    if body["kind"] == "Secret" and body.get("type") != old.get("type"):
        yield invalid_value("type", body.get("type"), _IMMUTABLE)
