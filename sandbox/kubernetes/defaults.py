"""Values that the server fills in (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go, pod admission included).

Defaults belong to types, wherever in an object these are: those of built-in types are in the table below, those of
custom ones in their schema. Rules that do not fit a table are functions.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import yaml

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.schema import Type
from sandbox.kubernetes.store import clone

# Types [if field=value|value]: the fields that are set when they are missing. `if field=` is for a field that is missing;
# `Pod.spec` and `Job.spec` are those of a Pod and a Job, not of the templates that have the same types.
_TABLE = """
Pod Service Deployment ReplicaSet StatefulSet DaemonSet Job CronJob: {spec: {}}
DeploymentSpec: {template: {}, replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: {}}
ReplicaSetSpec: {template: {}, replicas: 1}
StatefulSetSpec: {template: {}, replicas: 1, revisionHistoryLimit: 10, podManagementPolicy: OrderedReady,
    updateStrategy: {}, persistentVolumeClaimRetentionPolicy: {}}
DaemonSetSpec: {template: {}, revisionHistoryLimit: 10, updateStrategy: {}}
DeploymentStrategy StatefulSetUpdateStrategy DaemonSetUpdateStrategy: {type: RollingUpdate}
DeploymentStrategy StatefulSetUpdateStrategy DaemonSetUpdateStrategy if type=RollingUpdate: {rollingUpdate: {}}
RollingUpdateDeployment: {maxUnavailable: 25%, maxSurge: 25%}
RollingUpdateStatefulSetStrategy: {partition: 0}
RollingUpdateDaemonSet: {maxUnavailable: 1, maxSurge: 0}
StatefulSetPersistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
JobSpec: {template: {}}
Job.spec if parallelism=: {completions: 1}
Job.spec: {parallelism: 1, backoffLimit: 6, completionMode: NonIndexed, suspend: false, podReplacementPolicy: TerminatingOrFailed}
CronJobSpec: {concurrencyPolicy: Allow, suspend: false, successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1}
PodTemplateSpec: {metadata: {}, spec: {}}
PodSpec: {restartPolicy: Always, terminationGracePeriodSeconds: 30, dnsPolicy: ClusterFirst, securityContext: {},
    schedulerName: default-scheduler}
Pod.spec: {serviceAccountName: default, enableServiceLinks: true, priority: 0, preemptionPolicy: PreemptLowerPriority}
Container EphemeralContainer: {resources: {}, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
ContainerPort ServicePort NetworkPolicyPort: {protocol: TCP}
ObjectFieldSelector: {apiVersion: v1}
Probe: {failureThreshold: 3, periodSeconds: 10, successThreshold: 1, timeoutSeconds: 1}
HTTPGetAction: {path: /, scheme: HTTP}
SecretVolumeSource ConfigMapVolumeSource ProjectedVolumeSource DownwardAPIVolumeSource: {defaultMode: 420}
HostPathVolumeSource: {type: ""}
PersistentVolumeClaim: {kind: PersistentVolumeClaim, apiVersion: v1, spec: {}, status: {}}
PersistentVolumeClaimSpec: {volumeMode: Filesystem}
PersistentVolumeClaimStatus: {phase: Pending}
ServiceSpec: {type: ClusterIP, sessionAffinity: None}
ServiceSpec if type=ClusterIP|NodePort|LoadBalancer: {internalTrafficPolicy: Cluster}
ServiceSpec if type=NodePort|LoadBalancer: {externalTrafficPolicy: Cluster}
ServiceSpec if type=LoadBalancer: {allocateLoadBalancerNodePorts: true}
Secret: {type: Opaque}
RoleRef: {apiGroup: rbac.authorization.k8s.io}
Subject if kind=User|Group: {apiGroup: rbac.authorization.k8s.io}
CustomResourceDefinitionSpec: {conversion: {strategy: None}}
ValidatingWebhook MutatingWebhook: {failurePolicy: Fail, matchPolicy: Equivalent, timeoutSeconds: 10,
    namespaceSelector: {}, objectSelector: {}}
RuleWithOperations: {scope: "*"}
HorizontalPodAutoscalerSpec: {minReplicas: 1}
StorageClass: {reclaimPolicy: Delete, volumeBindingMode: Immediate}
"""


def _read_table() -> dict[str, list[tuple[str, list[str], Json]]]:
    """For each type: the field and the values of its `if` ("" for none), and the defaults that then hold."""
    found = defaultdict(list)
    for head, values in yaml.load(_TABLE, Loader=yaml.CSafeLoader).items():
        names, _, condition = head.partition(" if ")
        field, _, wanted = condition.partition("=")
        for name in names.split():
            found[name].append((field, wanted.split("|"), values))
    return found


_DEFAULTS = _read_table()


def fill(body: Json, kind: Kind) -> None:
    """Completes an object in place. Given values stay."""
    _fill(body, kind.type, _fill_custom if kind.custom else _fill_built_in)


def _fill(value: Any, kind: Type, fill_one: Callable[[Json, Type], None]) -> None:
    if isinstance(value, list):
        for item in value:
            _fill(item, kind.items, fill_one)
    elif isinstance(value, dict):
        fill_one(value, kind)
        for name, below in value.items():
            if isinstance(below, dict | list) and name != "metadata" and (inner := kind.field(name)):
                _fill(below, inner, fill_one)


def _fill_custom(value: Json, kind: Type) -> None:
    fields = kind.schema.get("properties") or {}
    _set(value, {name: node["default"] for name, node in fields.items() if "default" in node})


def _fill_built_in(value: Json, kind: Type) -> None:
    _set_of(kind.name, value)
    if kind.name in _FUNCTIONS:
        _FUNCTIONS[kind.name](value)


def _set_of(name: str, target: Json) -> None:
    for field, wanted, defaults in _DEFAULTS.get(name, ()):
        if target.get(field, "") in wanted:
            _set(target, defaults)


def _set(target: Json, defaults: Json) -> None:
    for name, value in defaults.items():
        if value is not None and target.get(name) is None:
            target[name] = clone(value) if isinstance(value, dict | list) else value


def _namespace(namespace: Json) -> None:
    metadata = namespace["metadata"]
    _set(metadata, {"labels": {}})
    metadata["labels"]["kubernetes.io/metadata.name"] = metadata.get("name", "")


def _pod(pod: Json) -> None:
    """Values that admission adds to a pod, but not to a template."""
    spec = pod["spec"]
    _set_of("Pod.spec", spec)
    given = [t for t in spec.get("tolerations") or [] if t.get("effect") in (None, "", "NoExecute")]
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (None, "", key) for t in given):
            added = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            spec["tolerations"] = [*(spec.get("tolerations") or []), added]


def _pod_spec(spec: Json) -> None:
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]


def _container(container: Json) -> None:
    tag = str(container.get("image", "")).rpartition("/")[2]
    newest = ("@" not in tag and ":" not in tag) or tag.endswith(":latest")
    _set(container, {"imagePullPolicy": "Always" if newest else "IfNotPresent"})
    if limits := container["resources"].get("limits"):
        container["resources"]["requests"] = {**limits, **(container["resources"].get("requests") or {})}


def _job(job: Json) -> None:
    _set_of("Job.spec", job["spec"])
    template = job["spec"].get("template") or {}
    _set(job["metadata"], {"labels": (template.get("metadata") or {}).get("labels")})


def _secret(secret: Json) -> None:
    for name, text in (secret.pop("stringData", None) or {}).items():
        _set(secret, {"data": {}})
        secret["data"][name] = base64.b64encode(str(text).encode()).decode()


_FUNCTIONS: dict[str, Callable[[Json], None]] = {
    "Namespace": _namespace,
    "Pod": _pod,
    "PodSpec": _pod_spec,
    "Container": _container,
    "EphemeralContainer": _container,
    "Volume": lambda volume: _set(volume, {} if volume.keys() - {"name"} else {"emptyDir": {}}),
    "Job": _job,
    "ServicePort": lambda port: _set(port, {"targetPort": port.get("port")}),
    "Secret": _secret,
    "NetworkPolicySpec": lambda spec: _set(
        spec, {"policyTypes": ["Ingress", "Egress"][: 1 + ("egress" in spec)]}
    ),
    "CustomResourceDefinitionNames": lambda names: _set(
        names, {"singular": names.get("kind", "").lower(), "listKind": f"{names.get('kind')}List"}
    ),
}
