"""What the server refuses with 422: that part of k8s.io/kubernetes/pkg/apis/*/validation which a deploy can meet.

Tables say what must hold for single values, functions what must fit together.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from engine.types import Json
from sandbox.kubernetes.changes import unchangeable
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.names import Causes, broken, labels, metadata, must_be, values_at
from sandbox.kubernetes.refusals import (
    forbidden_value,
    invalid,
    invalid_value,
    required,
    too_long,
    unsupported,
)
from sandbox.kubernetes.schema_checks import check_custom
from sandbox.kubernetes.selectors import selects

_MOST_DATA = 1024 * 1024
_WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
_PODS = {"Pod": "spec", "CronJob": "spec.jobTemplate.spec.template.spec"}  # where the spec of a pod is
_PULL_SECRET = ".dockerconfigjson"
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (_PULL_SECRET,),
}
_POD = """
containers                                              required
restartPolicy                                           in:Always,OnFailure,Never
volumes[*].name                                         required unique
initContainers|containers[*].name                       required label unique
initContainers|containers[*].image                      required trimmed
initContainers|containers[*].ports[*].containerPort     required port
initContainers|containers[*].env[*].name                required variable
initContainers|containers[*].volumeMounts[*].mountPath  required
"""
_WORKLOAD = """
spec.replicas                                           natural
spec.selector                                           required
spec.template.spec.restartPolicy                        in:Always
"""
_RULES = dict.fromkeys(_WORKLOADS, _WORKLOAD) | {
    "Job": """
spec.parallelism|completions|backoffLimit               natural
spec.activeDeadlineSeconds|ttlSecondsAfterFinished      natural
spec.template.spec.restartPolicy                        in:OnFailure,Never
""",
    "CronJob": """
spec.schedule                                           required schedule
spec.jobTemplate.spec.template.spec.restartPolicy       in:OnFailure,Never
""",
    "Service": """
spec.ports[*].name                                      unique
spec.ports[*].port                                      required port
spec.ports[*].targetPort                                port
""",
    "Ingress": """
spec.rules[*].host                                      host
spec.rules[*].http.paths[*].pathType                    required in:Exact,ImplementationSpecific,Prefix
""",
    "CustomResourceDefinition": """
spec.group|scope                                        required
spec.names.plural|kind                                  required
spec.versions[*].schema.openAPIV3Schema                 required
""",
}


def check(body: Json, kind: Kind, old: Json | None) -> None:
    """Raises Refused (422) with every cause when the object is not valid, or may not become so from `old`."""
    causes = [*metadata(body, kind), *(check_custom(body, kind) if kind.custom else _built_in(body, kind))]
    if old is not None:
        causes += unchangeable(body, old, kind)
    if causes:
        raise invalid(kind.kind, kind.group, body["metadata"].get("name", ""), causes)


def _built_in(body: Json, kind: Kind) -> Causes:
    yield from broken(_RULES.get(kind.kind, ""), body)
    for at, pod in values_at(body, _PODS.get(kind.kind, "spec.template.spec")):
        if pod is not None:
            yield from broken(_POD, pod, at)
            yield from _pod(pod, at)
    if fits := _FITS.get(kind.kind):
        yield from fits(body, body.get("spec") or {})


def _pod(pod: Json, at: str) -> Causes:
    volumes = [name for _, name in values_at(pod, "volumes[*].name")]
    for field, mount in values_at(pod, "initContainers|containers[*].volumeMounts[*].name", at):
        if mount not in volumes:
            yield field, "FieldValueNotFound", f'Not found: "{mount or ""}"'
    for field, variable in values_at(pod, "initContainers|containers[*].env[*]", at):
        if variable.get("value") and variable.get("valueFrom"):
            yield invalid_value(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")


def _workload(body: Json, spec: Json) -> Causes:
    selector, template = spec.get("selector"), spec.get("template") or {}
    found = (template.get("metadata") or {}).get("labels") or {}
    if selector and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid")
    if not selects(selector, found):
        words = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", found, words)
    yield from labels(found, "spec.template.labels")


def _deployment(body: Json, spec: Json) -> Causes:
    yield from _workload(body, spec)
    strategy = spec["strategy"]
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy", strategy, ["Recreate", "RollingUpdate"])
    if strategy["type"] == "Recreate" and rolling:
        words = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_value("spec.strategy.rollingUpdate", words)
    if rolling and all(rolling.get(name) in (0, "0%") for name in ("maxUnavailable", "maxSurge")):
        field = "spec.strategy.rollingUpdate.maxUnavailable"
        yield invalid_value(field, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")
    if spec["progressDeadlineSeconds"] <= spec.get("minReadySeconds", 0):
        value = spec["progressDeadlineSeconds"]
        yield invalid_value("spec.progressDeadlineSeconds", value, "must be greater than minReadySeconds")


def _service(body: Json, spec: Json) -> Causes:
    ports = spec.get("ports") or []
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if len(ports) > 1:
        yield from broken("spec.ports[*].name required", body)


def _ingress(body: Json, spec: Json) -> Causes:
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    for field, path in values_at(body, "spec.rules[*].http.paths[*]"):
        if path.get("pathType") in ("Exact", "Prefix") and not path.get("path", "").startswith("/"):
            yield invalid_value(f"{field}.path", path.get("path", ""), "must be an absolute path")


def _data(body: Json, spec: Json) -> Causes:
    """ConfigMap and Secret."""
    is_secret, size = body["kind"] == "Secret", 0
    for field in ("data", "binaryData"):
        for key, value in (body.get(field) or {}).items():
            in_base64 = is_secret or field == "binaryData"
            size += len(value) * 3 // 4 if in_base64 else len(value.encode())
            yield from must_be("data-key", f"{field}[{key}]", key)
    if size > _MOST_DATA:
        yield too_long("data" if is_secret else "[]", _MOST_DATA)
    data = body.get("data") or {}
    for key in _SECRET_KEYS.get(body.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif key == _PULL_SECRET and not _is_json(data[key]):
            yield invalid_value(f"data[{key}]", "<secret contents redacted>", "invalid JSON")


def _is_json(value: str) -> bool:
    try:
        json.loads(base64.b64decode(value))
    except ValueError:
        return False
    return True


def _definition(body: Json, spec: Json) -> Causes:
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    name = body["metadata"].get("name", "")
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid_value("spec.versions", None, "must have exactly one version marked as storage version")


_FITS: dict[str, Callable[[Json, Json], Causes]] = {
    **dict.fromkeys(_WORKLOADS, _workload),
    "Deployment": _deployment,
    "Service": _service,
    "Ingress": _ingress,
    "ConfigMap": _data,
    "Secret": _data,
    "CustomResourceDefinition": _definition,
}
