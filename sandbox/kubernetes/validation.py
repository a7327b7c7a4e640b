"""What the server refuses with 422: names, labels, selectors, containers, ports, secrets, what cannot be changed.

That part of k8s.io/kubernetes/pkg/apis/*/validation which a deploy can meet, and the schemas of custom kinds.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import (
    Cause,
    duplicate,
    forbidden_value,
    invalid,
    invalid_value,
    required,
    too_long,
    unsupported,
)
from sandbox.kubernetes.schema_checks import check_custom
from sandbox.kubernetes.selectors import selects

Causes = Iterator[Cause]
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_MOST_DATA = 1024 * 1024
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_PART_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_IMMUTABLE = "field is immutable"
_PORTS = "must be between 1 and 65535, inclusive"
_FREE_NAMES = ("rbac.authorization.k8s.io",)  # groups whose names may hold colons


def check(body: Json, kind: Kind, old: Json | None) -> None:
    """Raises Refused (422) with every cause when the object is not valid, or may not become so from `old`."""
    causes = [*_metadata(body, kind)]
    if kind.custom:
        causes += check_custom(body, kind)
    elif checker := _CHECKS.get(kind.kind):
        causes += checker(body, body.get("spec") or {})
    if old is not None:
        causes += _unchangeable(body, old, kind)
    if causes:
        raise invalid(kind.kind, kind.group, body["metadata"].get("name", ""), causes)


def _metadata(body: Json, kind: Kind) -> Causes:
    metadata = body["metadata"]
    name = metadata.get("name") or ""
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind.group in _FREE_NAMES:
        if "/" in name or "%" in name:
            yield invalid_value("metadata.name", name, "may not contain '/'")
    else:
        pattern, words = (
            (_LABEL, _LABEL_WORDS) if kind.kind == "Namespace" else (_SUBDOMAIN, _SUBDOMAIN_WORDS)
        )
        if not pattern.fullmatch(name):
            yield invalid_value("metadata.name", name, words)
        limit = 63 if kind.kind in ("Namespace", "Service") else 253
        if len(name) > limit:
            yield invalid_value("metadata.name", name, f"must be no more than {limit} bytes")
    yield from labels(metadata.get("labels") or {}, "metadata.labels")
    if sum(len(k) + len(v) for k, v in (metadata.get("annotations") or {}).items()) > 256 * 1024:
        yield too_long("metadata.annotations", 256 * 1024)


def labels(found: Json, field: str) -> Causes:
    """Labels, and what may be one."""
    for key, value in found.items():
        part = key.rpartition("/")[2]
        if not _NAME_PART.fullmatch(part):
            yield invalid_value(field, key, _NAME_PART_WORDS)
        elif len(part) > 63:
            yield invalid_value(field, key, "name part must be no more than 63 bytes")
        if len(value) > 63:
            yield invalid_value(field, value, "must be no more than 63 bytes")
        elif value and not _NAME_PART.fullmatch(value):
            yield invalid_value(field, value, _VALUE_WORDS)


def _workload(body: Json, spec: Json) -> Causes:
    """Deployment, ReplicaSet, StatefulSet, DaemonSet."""
    if spec.get("replicas", 0) < 0:
        yield invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector = spec.get("selector")
    template = spec.get("template") or {}
    found = (template.get("metadata") or {}).get("labels")
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    if not selects(selector, found or {}):
        words = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", found, words)
    yield from labels(found or {}, "spec.template.labels")
    pod = template.get("spec") or {}
    yield from pod_spec(pod, "spec.template.spec")
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])
    if body["kind"] == "Deployment":
        yield from _strategy(spec)


def _strategy(spec: Json) -> Causes:
    strategy = spec.get("strategy") or {}
    kind = strategy.get("type", "RollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        yield unsupported("spec.strategy", strategy, ["Recreate", "RollingUpdate"])
    if kind == "Recreate" and strategy.get("rollingUpdate"):
        yield forbidden_value(
            "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
        )
    rolling = strategy.get("rollingUpdate") or {}
    if _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
        words = "may not be 0 when `maxSurge` is 0"
        yield invalid_value("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], words)
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        value = spec["progressDeadlineSeconds"]
        yield invalid_value("spec.progressDeadlineSeconds", value, "must be greater than minReadySeconds")


def _is_zero(value: Any) -> bool:
    return value in (0, "0%")


def pod_spec(spec: Json, at: str) -> Causes:
    """The spec of a pod or a template."""
    if not spec.get("containers"):
        yield required(f"{at}.containers")
    if spec.get("restartPolicy", "Always") not in ("Always", "OnFailure", "Never"):
        choices = ["Always", "OnFailure", "Never"]
        yield unsupported(f"{at}.restartPolicy", spec["restartPolicy"], choices)
    volumes = [v.get("name") for v in spec.get("volumes") or []]
    for index, name in enumerate(volumes):
        if not name:
            yield required(f"{at}.volumes[{index}].name")
        elif name in volumes[:index]:
            yield duplicate(f"{at}.volumes[{index}].name", name)
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or []):
            yield from _container(container, f"{at}.{field}[{index}]", seen, volumes)


def _container(container: Json, at: str, seen: set[str], volumes: list[Any]) -> Causes:
    name = container.get("name") or ""
    if not name:
        yield required(f"{at}.name")
    elif not _LABEL.fullmatch(name) or len(name) > 63:
        yield invalid_value(f"{at}.name", name, _LABEL_WORDS)
    elif name in seen:
        yield duplicate(f"{at}.name", name)
    seen.add(name)
    image = container.get("image") or ""
    if not image:
        yield required(f"{at}.image")
    elif image != image.strip():
        yield invalid_value(f"{at}.image", image, "must not have leading or trailing whitespace")
    for index, port in enumerate(container.get("ports") or []):
        yield from _container_port(port.get("containerPort") or 0, f"{at}.ports[{index}].containerPort")
    for index, variable in enumerate(container.get("env") or []):
        yield from _variable(variable, f"{at}.env[{index}]")
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            yield (
                f"{at}.volumeMounts[{index}].name",
                "FieldValueNotFound",
                f'Not found: "{mount.get("name", "")}"',
            )
        if not mount.get("mountPath"):
            yield required(f"{at}.volumeMounts[{index}].mountPath")


def _container_port(number: int, field: str) -> Causes:
    if number == 0:
        yield required(field)
    elif not 0 < number < 65536:
        yield invalid_value(field, number, _PORTS)


def _variable(variable: Json, at: str) -> Causes:
    name = variable.get("name") or ""
    if not name:
        yield required(f"{at}.name")
    elif "=" in name or not name.isprintable():
        yield invalid_value(
            f"{at}.name",
            name,
            "a valid environment variable name must consist only of printable ASCII characters other than '='",
        )
    if variable.get("value") and variable.get("valueFrom"):
        yield invalid_value(f"{at}.valueFrom", "", "may not be specified when `value` is not empty")


def _pod(body: Json, spec: Json) -> Causes:
    yield from pod_spec(spec, "spec")


def _job(body: Json, spec: Json) -> Causes:
    for field in (
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    ):
        if spec.get(field, 0) < 0:
            yield invalid_value(f"spec.{field}", spec[field], "must be greater than or equal to 0")
    yield from _job_pod((spec.get("template") or {}).get("spec") or {}, "spec.template.spec")


def _job_pod(pod: Json, at: str) -> Causes:
    yield from pod_spec(pod, at)
    if pod.get("restartPolicy") == "Always":
        yield required(f"{at}.restartPolicy", 'valid values: "OnFailure", "Never"')


def _cron_job(body: Json, spec: Json) -> Causes:
    if not spec.get("schedule"):
        yield required("spec.schedule")
    elif not spec["schedule"].startswith("@") and len(spec["schedule"].split()) != 5:
        count = len(spec["schedule"].split())
        words = f"expected exactly 5 fields, found {count}: [{spec['schedule']}]"
        yield invalid_value("spec.schedule", spec["schedule"], words)
    pod = ((((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}).get("spec")) or {}
    yield from _job_pod(pod, "spec.jobTemplate.spec.template.spec")


def _service(body: Json, spec: Json) -> Causes:
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if spec.get("type") == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    if not ports and not headless:
        yield required("spec.ports")
    seen: set[Any] = set()
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{at}.name")
        elif port.get("name") and port["name"] in seen:
            yield duplicate(f"{at}.name", port["name"])
        seen.add(port.get("name"))
        if not 0 < (port.get("port") or 0) < 65536:
            yield invalid_value(f"{at}.port", port.get("port") or 0, _PORTS)
        target = port.get("targetPort")
        if isinstance(target, int) and not 0 < target < 65536:
            yield invalid_value(f"{at}.targetPort", target, _PORTS)


def _ingress(body: Json, spec: Json) -> Causes:
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or []):
        host = (rule.get("host") or "").removeprefix("*.")
        if host and not _SUBDOMAIN.fullmatch(host):
            yield invalid_value(f"spec.rules[{index}].host", rule["host"], _SUBDOMAIN_WORDS)
        for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
            at = f"spec.rules[{index}].http.paths[{number}]"
            if not path.get("pathType"):
                yield required(f"{at}.pathType", "pathType must be specified")
            elif path["pathType"] not in ("Exact", "ImplementationSpecific", "Prefix"):
                yield unsupported(
                    f"{at}.pathType", path["pathType"], ["Exact", "ImplementationSpecific", "Prefix"]
                )
            elif path["pathType"] != "ImplementationSpecific" and not str(path.get("path", "")).startswith(
                "/"
            ):
                yield invalid_value(f"{at}.path", path.get("path", ""), "must be an absolute path")


def _data(body: Json, spec: Json) -> Causes:
    """ConfigMap and Secret."""
    size = 0
    for field in ("data", "binaryData"):
        for key, value in (body.get(field) or {}).items():
            size += (
                len(value) * 3 // 4
                if body["kind"] == "Secret" or field == "binaryData"
                else len(value.encode())
            )
            if not _DATA_KEY.fullmatch(key) or len(key) > 253:
                yield invalid_value(f"{field}[{key}]", key, _KEY_WORDS)
    if size > _MOST_DATA:
        yield too_long("data" if body["kind"] == "Secret" else "[]", _MOST_DATA)
    if body["kind"] == "Secret":
        yield from _secret_type(body.get("type"), body.get("data") or {})


def _secret_type(kind: str | None, data: Json) -> Causes:
    if kind == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in data:
                yield required(f"data[{key}]")
    if kind == "kubernetes.io/dockerconfigjson":
        if ".dockerconfigjson" not in data:
            yield required("data[.dockerconfigjson]")
        elif not _is_json(data[".dockerconfigjson"]):
            words = "invalid character looking for beginning of value"
            yield invalid_value("data[.dockerconfigjson]", "<secret contents redacted>", words)


def _is_json(value: str) -> bool:
    try:
        json.loads(base64.b64decode(value))
    except ValueError:
        return False
    return True


def _definition(body: Json, spec: Json) -> Causes:
    names = spec.get("names") or {}
    for field in ("group", "scope"):
        if not spec.get(field):
            yield required(f"spec.{field}")
    for field in ("plural", "kind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if body["metadata"].get("name") != wanted:
        words = 'must be spec.names.plural+"."+spec.group'
        yield invalid_value("metadata.name", body["metadata"].get("name", ""), words)
    versions = spec.get("versions") or []
    if len([v for v in versions if v.get("storage")]) != 1:
        yield invalid_value("spec.versions", None, "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")


def _unchangeable(body: Json, old: Json, kind: Kind) -> Causes:
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


_CHECKS: dict[str, Callable[[Json, Json], Causes]] = {
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Pod": _pod,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Ingress": _ingress,
    "ConfigMap": _data,
    "Secret": _data,
    "CustomResourceDefinition": _definition,
}
