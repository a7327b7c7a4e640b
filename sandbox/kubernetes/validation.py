"""Refusals with 422: the part of k8s.io/kubernetes/pkg/apis/*/validation that a deploy can meet.

A table has the rules for single fields, functions have those for several, both by the types of a built-in object's
parts. Custom objects must fit the schema of their CustomResourceDefinition (without its CEL rules).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes import refusals
from sandbox.kubernetes.changes import unchangeable
from sandbox.kubernetes.kinds import Kind, rows
from sandbox.kubernetes.names import Causes, labels, metadata, must_be
from sandbox.kubernetes.refusals import Cause, forbidden_value, invalid_value, required, unsupported
from sandbox.kubernetes.schema import Type
from sandbox.kubernetes.selectors import selects, value_at

_MOST_DATA = 1024 * 1024
_PULL_SECRET = ".dockerconfigjson"
_SECRET_KEYS = {"kubernetes.io/tls": ["tls.crt", "tls.key"], "kubernetes.io/dockerconfigjson": [_PULL_SECRET]}
# For types their fields with what these must be (see `must_be`).
_TABLE = """
DeploymentSpec ReplicaSetSpec StatefulSetSpec DaemonSetSpec: selector=! template.spec.restartPolicy=Always replicas=count
JobSpec: template.spec.restartPolicy=OnFailure|Never parallelism=count completions=count backoffLimit=count
    activeDeadlineSeconds=count ttlSecondsAfterFinished=count
CronJobSpec: schedule=!schedule
PodSpec: containers=! restartPolicy=Always|OnFailure|Never
Container: name=!label image=!
ContainerPort: containerPort=!port
EnvVar: name=!variable
Volume: name=!
VolumeMount: mountPath=!
ServicePort: port=!port targetPort=port
IngressRule: host=host
HTTPIngressPath: pathType=!Exact|ImplementationSpecific|Prefix
CustomResourceDefinitionSpec: group=! scope=!
CustomResourceDefinitionNames: plural=! kind=!
CustomResourceDefinitionVersion: schema=!
CustomResourceValidation: openAPIV3Schema=!
"""
_RULES = {name: [rule.split("=") for rule in rules.split()] for name, rules in rows(_TABLE).items()}


def check(body: Json, kind: Kind, old: Json | None) -> None:
    """Raises Refused (422) with every cause when the object is not valid, or may not become so from `old`."""
    causes = [*metadata(body, kind)]
    _judge(body, kind.type, "", kind.custom, causes)
    if kind.kind == "StatefulSet":  # its template mounts claims; the server leaves all mounts there alone
        causes = [cause for cause in causes if cause[1] != "FieldValueNotFound"]
    if old is not None:
        causes += unchangeable(body, old, kind)
    if causes:
        raise refusals.invalid(kind.kind, kind.group, body["metadata"].get("name", ""), causes)


def _judge(value: Any, kind: Type, at: str, custom: bool, causes: list[Cause]) -> None:
    """Adds the faults of a value and of all values below it, without an object's metadata."""
    if custom:
        causes += _by_schema(value, kind, at)
    elif kind.name in _JUDGED and isinstance(value, dict):
        causes += _by_rules(value, kind.name, at)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _judge(item, kind.items, f"{at}[{index}]", custom, causes)
    elif isinstance(value, dict):
        for name, below in value.items():
            inner = kind.field(name) if custom or isinstance(below, dict | list) else None
            if inner is not None and (at or name != "metadata"):
                _judge(below, inner, f"{at}.{name}" if at else name, custom, causes)


# --- custom kinds ----------------------------------------------------------------------------------------------------

_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_SEVERAL = {"number": ("integer", "number"), "int-or-string": ("integer", "string")}
_SIZES = {str: "Length", list: "Items", int: "imum", float: "imum"}  # as in minLength, minItems, minimum


def _by_schema(value: Any, kind: Type, at: str) -> Causes:
    schema = kind.schema
    found = _NAMES.get(type(value), "null")
    wanted = "int-or-string" if schema.get("x-kubernetes-int-or-string") else schema.get("type", found)
    if found not in _SEVERAL.get(wanted, (wanted,)):
        if value is not None or not schema.get("nullable"):
            words = f'Invalid value: "{found}": {at} in body must be of type {wanted}: "{found}"'
            yield at, "FieldValueTypeInvalid", words
        return
    if value not in schema.get("enum", [value]):
        yield unsupported(at, value, [str(choice) for choice in schema["enum"]])
    if found == "string" and not re.search(schema.get("pattern", ""), value):
        yield invalid_value(at, value, f"{at} in body should match '{schema['pattern']}'")
    what = _SIZES.get(type(value))
    for side, sign, word in (("min", 1, "greater"), ("max", -1, "less")):
        bound = schema.get(f"{side}{what}")
        if bound is not None and sign * (value if what == "imum" else len(value)) < sign * bound:
            yield invalid_value(at, value, f"{at} in body should be {word} than or equal to {bound}")
    if found == "object":
        missing = [name for name in schema.get("required") or [] if name not in value]
        yield from (required(f"{at}.{name}".removeprefix(".")) for name in missing)


# --- built-in kinds --------------------------------------------------------------------------------------------------


def _by_rules(value: Json, name: str, at: str) -> Causes:
    for field, check in _RULES.get(name, ()):
        yield from must_be(check, f"{at}.{field}", value_at(value, field))
    if name in _FITS:
        yield from _FITS[name](value, at)


def _pod(spec: Json, at: str) -> Causes:
    yield from _unique(spec, at, "volumes")
    yield from _volumes(spec, at)
    yield from _unique(spec, at, "initContainers", "containers")
    volumes = [v.get("name") for v in spec.get("volumes") or [] if len(_sources_of(v)) < 2]
    for field, container in _items(spec, at, "initContainers", "containers"):
        if at == "spec":  # of a pod: templates are not asked for that
            yield from must_be("trimmed", f"{field}.image", container.get("image"))
        for place, mount in _items(container, field, "volumeMounts"):
            if mount.get("name") not in volumes:
                yield f"{place}.name", "FieldValueNotFound", f'Not found: "{mount.get("name", "")}"'


def _volumes(spec: Json, at: str) -> Causes:
    """A volume has one source; the fields of others are forbidden, in the order of Kubernetes' own checks."""
    for place, volume in _items(spec, at, "volumes"):
        for name in _sources_of(volume)[1:]:
            yield forbidden_value(f"{place}.{name}", "may not specify more than 1 volume type")


def _sources_of(volume: Json) -> list[str]:
    return [name for name in _SOURCES if name in volume]


_SOURCES = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi", "glusterfs",
    "persistentVolumeClaim", "rbd", "cinder", "cephfs", "flocker", "downwardAPI", "fc", "flexVolume", "configMap",
    "azureFile", "vsphereVolume", "quobyte", "azureDisk", "storageos", "portworxVolume", "scaleIO", "projected", "csi",
    "ephemeral", "image",
)  # fmt: skip


def _items(value: Json, at: str, *fields: str) -> Iterator[tuple[str, Json]]:
    """The items of lists, each with its path."""
    for field in fields:
        for index, item in enumerate(value.get(field) or []):
            yield f"{at}.{field}[{index}]", item


def _unique(value: Json, at: str, *fields: str) -> Causes:
    seen = set()
    for place, item in _items(value, at, *fields):
        name = item.get("name")
        if name and name in seen:
            yield refusals.duplicate(f"{place}.name", name)
        seen.add(name)


def _variable(variable: Json, at: str) -> Causes:
    if variable.get("value") and variable.get("valueFrom"):
        yield invalid_value(f"{at}.valueFrom", "", "may not be specified when `value` is not empty")


def _workload(spec: Json, at: str) -> Causes:
    found = value_at(spec, "template.metadata.labels") or {}
    if not selects(spec.get("selector"), found):
        words = "`selector` does not match template `labels`"
        yield invalid_value(f"{at}.template.metadata.labels", found, words)


def _deployment(spec: Json, at: str) -> Causes:
    yield from _workload(spec, at)
    kind, rolling = spec["strategy"]["type"], spec["strategy"].get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        yield unsupported(f"{at}.strategy", spec["strategy"], ["Recreate", "RollingUpdate"])
    if kind == "Recreate" and rolling:
        words = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_value(f"{at}.strategy.rollingUpdate", words)
    if rolling and all(rolling.get(name) in (0, "0%") for name in ("maxUnavailable", "maxSurge")):
        field = f"{at}.strategy.rollingUpdate.maxUnavailable"
        yield invalid_value(field, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")
    seconds = spec["progressDeadlineSeconds"]
    if seconds <= spec.get("minReadySeconds", 0):
        yield invalid_value(f"{at}.progressDeadlineSeconds", seconds, "must be greater than minReadySeconds")


def _stateful_set(spec: Json, at: str) -> Causes:
    yield from _workload(spec, at)
    strategy = spec.get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "OnDelete" and rolling:
        shown = {"Partition": rolling.get("partition"), "MaxUnavailable": rolling.get("maxUnavailable", 1)}
        words = "only allowed for updateStrategy 'RollingUpdate'"
        yield invalid_value(f"{at}.updateStrategy.rollingUpdate", shown, words)


def _service(spec: Json, at: str) -> Causes:
    ports, is_alias = [*_items(spec, at, "ports")], spec["type"] == "ExternalName"
    if is_alias and not spec.get("externalName"):
        yield required(f"{at}.externalName")
    if not is_alias and not ports and spec.get("clusterIP") != "None":
        yield required(f"{at}.ports")
    if len(ports) > 1:
        yield from (required(f"{place}.name") for place, port in ports if not port.get("name"))
    yield from _unique(spec, at, "ports")


def _ingress(body: Json, at: str) -> Causes:
    if not value_at(body, "spec.rules") and not value_at(body, "spec.defaultBackend"):
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")


def _ingress_path(path: Json, at: str) -> Causes:
    if path.get("pathType") in ("Exact", "Prefix") and not path.get("path", "").startswith("/"):
        yield invalid_value(f"{at}.path", path.get("path", ""), "must be an absolute path")


def _data(body: Json, at: str) -> Causes:
    """ConfigMap and Secret."""
    is_secret, size = body["kind"] == "Secret", 0
    for field in ("data", "binaryData"):
        for key, value in (body.get(field) or {}).items():
            in_base64 = is_secret or field == "binaryData"
            size += len(value) * 3 // 4 if in_base64 else len(value.encode())
            yield from must_be("data-key", f"{field}[{key}]", key)
    if size > _MOST_DATA:
        yield refusals.too_long("data" if is_secret else "[]", _MOST_DATA)


def _secret(body: Json, at: str) -> Causes:
    yield from _data(body, at)
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


def _definition(body: Json, at: str) -> Causes:
    name, wanted = (
        body["metadata"].get("name", ""),
        f"{value_at(body, 'spec.names.plural')}.{value_at(body, 'spec.group')}",
    )
    if name != wanted:
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if sum(bool(version.get("storage")) for version in value_at(body, "spec.versions") or []) != 1:
        yield invalid_value("spec.versions", None, "must have exactly one version marked as storage version")


_FITS: dict[str, Callable[[Json, str], Causes]] = {
    "ConfigMap": _data,
    "CustomResourceDefinition": _definition,
    "DaemonSetSpec": _workload,
    "DeploymentSpec": _deployment,
    "EnvVar": _variable,
    "HTTPIngressPath": _ingress_path,
    "Ingress": _ingress,
    "ObjectMeta": labels,
    "PodSpec": _pod,
    "ReplicaSetSpec": _workload,
    "Secret": _secret,
    "ServiceSpec": _service,
    "StatefulSetSpec": _stateful_set,
}
_JUDGED = _RULES.keys() | _FITS.keys()
