"""What the server fills in, kind by kind (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go, pod admission included)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.schema import Type
from sandbox.kubernetes.store import clone

_PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
_TOLERATED = ("not-ready", "unreachable")


def fill(body: Json, kind: Kind) -> None:
    """Completes an object in place. What is given stays."""
    if kind.custom:
        _fill_by_schema(body, kind.type)
    elif filler := _FILLERS.get((kind.group, kind.kind)):
        spec = body.setdefault("spec", {}) if kind.kind in _WITH_SPEC else body.get("spec") or {}
        filler(body, spec)


def _fill_by_schema(value: Any, kind: Type) -> None:
    """The `default`s of a CustomResourceDefinition's schema."""
    if isinstance(value, dict):
        for name, node in (kind.schema.get("properties") or {}).items():
            if "default" in node and name not in value:
                value[name] = clone(node["default"])
        for name, below in value.items():
            if name != "metadata" and (inner := kind.field(name)):
                _fill_by_schema(below, inner)
    elif isinstance(value, list):
        for item in value:
            _fill_by_schema(item, kind.items)


def _set(target: Json, **values: Any) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value


def pod_spec(spec: Json) -> None:
    """The spec of a pod or a template."""
    _set(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in _containers(spec):
        _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _containers(spec: Json) -> Iterator[Json]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from (c for c in spec.get(field) or [] if isinstance(c, dict))


def _container(container: Json) -> None:
    tag = str(container.get("image", "")).rpartition("/")[2]
    newest = ("@" not in tag and ":" not in tag) or tag.endswith(":latest")
    _set(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if newest else "IfNotPresent",
    )
    for port in container.get("ports") or []:
        _set(port, protocol="TCP")
    for variable in container.get("env") or []:
        if reference := (variable.get("valueFrom") or {}).get("fieldRef"):
            _set(reference, apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name) is not None:
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http_get(hook)
    limits = container["resources"].get("limits") or {}
    for resource in limits.keys() - (container["resources"].get("requests") or {}).keys():
        container["resources"].setdefault("requests", {})[resource] = limits[resource]


def _probe(probe: Json) -> None:
    _set(probe, **_PROBE)
    _http_get(probe)


def _http_get(handler: Json) -> None:
    if get := handler.get("httpGet"):
        _set(get, path="/", scheme="HTTP")


def _volume(volume: Json) -> None:
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if isinstance(volume.get(name), dict):
            _set(volume[name], defaultMode=420)
    if not volume.keys() - {"name"}:
        volume["emptyDir"] = {}
    if isinstance(volume.get("hostPath"), dict):
        _set(volume["hostPath"], type="")


def _pod(body: Json, spec: Json) -> None:
    pod_spec(spec)
    _set(
        spec,
        serviceAccountName="default",
        enableServiceLinks=True,
        priority=0,
        preemptionPolicy="PreemptLowerPriority",
    )
    spec["serviceAccount"] = spec["serviceAccountName"]
    tolerations = list(spec.get("tolerations") or [])
    for word in _TOLERATED:
        key = f"node.kubernetes.io/{word}"
        if not any(
            t.get("key") in (None, "", key) and t.get("effect") in (None, "", "NoExecute")
            for t in tolerations
        ):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )
    spec["tolerations"] = tolerations


def _template(spec: Json) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    if isinstance(template.setdefault("spec", {}), dict):
        pod_spec(template["spec"])


def _deployment(body: Json, spec: Json) -> None:
    _template(spec)
    _set(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    _set(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _set(spec["strategy"], rollingUpdate={})
        _set(spec["strategy"]["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")


def _replica_set(body: Json, spec: Json) -> None:
    _template(spec)
    _set(spec, replicas=1)


def _stateful_set(body: Json, spec: Json) -> None:
    _template(spec)
    _set(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady", updateStrategy={})
    _set(spec["updateStrategy"], type="RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        _set(spec["updateStrategy"], rollingUpdate={})
        _set(spec["updateStrategy"]["rollingUpdate"], partition=0)
    _set(spec, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
    for claim in spec.get("volumeClaimTemplates") or []:
        _set(claim, kind="PersistentVolumeClaim", apiVersion="v1")
        _set(claim.setdefault("spec", {}), volumeMode="Filesystem")
        _set(claim, status={"phase": "Pending"})


def _daemon_set(body: Json, spec: Json) -> None:
    _template(spec)
    _set(spec, revisionHistoryLimit=10, updateStrategy={})
    _set(spec["updateStrategy"], type="RollingUpdate")
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        _set(spec["updateStrategy"], rollingUpdate={})
        _set(spec["updateStrategy"]["rollingUpdate"], maxUnavailable=1, maxSurge=0)


def _job(body: Json, spec: Json) -> None:
    _job_spec(spec)
    labels = spec["template"]["metadata"].get("labels")
    if labels and not body["metadata"].get("labels"):
        body["metadata"]["labels"] = dict(labels)


def _job_spec(spec: Json) -> None:
    _template(spec)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _set(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    _set(spec, podReplacementPolicy="TerminatingOrFailed")


def _cron_job(body: Json, spec: Json) -> None:
    _set(
        spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1
    )
    if inner := (spec.get("jobTemplate") or {}).get("spec"):
        _template(inner)


def _service(body: Json, spec: Json) -> None:
    _set(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _set(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("LoadBalancer", "NodePort"):
        _set(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _set(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports") or []:
        _set(port, protocol="TCP", targetPort=port.get("port"))


def _secret(body: Json, spec: Json) -> None:
    for name, text in (body.pop("stringData", None) or {}).items():
        if body.get("data") is None:
            body["data"] = {}
        body["data"][name] = base64.b64encode(str(text).encode()).decode()
    _set(body, type="Opaque")


def _claim(body: Json, spec: Json) -> None:
    _set(spec, volumeMode="Filesystem")
    _set(body, status={"phase": "Pending"})


def _binding(body: Json, spec: Json) -> None:
    if isinstance(body.get("roleRef"), dict):
        _set(body["roleRef"], apiGroup="rbac.authorization.k8s.io")
    for subject in body.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            _set(subject, apiGroup="rbac.authorization.k8s.io")


def _definition(body: Json, spec: Json) -> None:
    names = spec.get("names") or {}
    if kind := names.get("kind"):
        _set(names, singular=kind.lower(), listKind=f"{kind}List")
    _set(spec, conversion={"strategy": "None"})


def _webhooks(body: Json, spec: Json) -> None:
    for hook in body.get("webhooks") or []:
        _set(hook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
        _set(hook, namespaceSelector={}, objectSelector={})
        for rule in hook.get("rules") or []:
            _set(rule, scope="*")


def _autoscaler(body: Json, spec: Json) -> None:
    _set(spec, minReplicas=1)


def _policy(body: Json, spec: Json) -> None:
    if spec.get("policyTypes") is None:
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _storage_class(body: Json, spec: Json) -> None:
    _set(body, reclaimPolicy="Delete", volumeBindingMode="Immediate")


_WITH_SPEC = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service", "Pod"}
_FILLERS: dict[tuple[str, str], Callable[[Json, Json], None]] = {
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "Secret"): _secret,
    ("", "PersistentVolumeClaim"): _claim,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("networking.k8s.io", "NetworkPolicy"): _policy,
    ("storage.k8s.io", "StorageClass"): _storage_class,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _webhooks,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _webhooks,
}
