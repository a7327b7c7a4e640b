"""What the server refuses with 422: names, labels, selectors, containers, ports, secrets, what cannot be changed.

That part of k8s.io/kubernetes/pkg/apis/*/validation which a deploy can meet, and the schemas of custom kinds.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from engine.types import Json
from sandbox.kubernetes.changes import unchangeable
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.names import SUBDOMAIN, SUBDOMAIN_WORDS, Causes, labels, metadata
from sandbox.kubernetes.pod_validation import PORTS, pod_spec
from sandbox.kubernetes.refusals import (
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

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_MOST_DATA = 1024 * 1024
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def check(body: Json, kind: Kind, old: Json | None) -> None:
    """Raises Refused (422) with every cause when the object is not valid, or may not become so from `old`."""
    causes = [*metadata(body, kind)]
    if kind.custom:
        causes += check_custom(body, kind)
    elif checker := _CHECKS.get(kind.kind):
        causes += checker(body, body.get("spec") or {})
    if old is not None:
        causes += unchangeable(body, old, kind)
    if causes:
        raise invalid(kind.kind, kind.group, body["metadata"].get("name", ""), causes)


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
            yield invalid_value(f"{at}.port", port.get("port") or 0, PORTS)
        target = port.get("targetPort")
        if isinstance(target, int) and not 0 < target < 65536:
            yield invalid_value(f"{at}.targetPort", target, PORTS)


def _ingress(body: Json, spec: Json) -> Causes:
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or []):
        host = (rule.get("host") or "").removeprefix("*.")
        if host and not SUBDOMAIN.fullmatch(host):
            yield invalid_value(f"spec.rules[{index}].host", rule["host"], SUBDOMAIN_WORDS)
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
