"""The columns and cells of each kind (k8s.io/kubernetes/pkg/printers/internalversion)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.types import Json
from sandbox.kubernetes.clock import since
from sandbox.kubernetes.selectors import selector_text

Cells = Callable[[Json], list[Any]]
_NONE = "<none>"


def duration(seconds: float) -> str:
    """`5s`, `3m12s`, `4h5m`, `2d`, as Kubernetes shortens times (k8s.io/apimachinery/pkg/util/duration)."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if days < 8 and hours else f"{days}d"


def name_of(body: Json) -> str:
    return str(body["metadata"]["name"])


def age_of(body: Json) -> str:
    return _ago(body["metadata"].get("creationTimestamp"))


def _ago(text: str | None) -> str:
    return duration(since(text)) if text else "<unknown>"


def _spec(body: Json) -> Json:
    return body.get("spec") or {}


def _status(body: Json) -> Json:
    return body.get("status") or {}


def _template(body: Json) -> list[Any]:
    """Containers, images, selector."""
    containers = ((_spec(body).get("template") or {}).get("spec") or {}).get("containers") or []
    selector = _spec(body).get("selector")
    names, images = ",".join(c["name"] for c in containers), ",".join(c["image"] for c in containers)
    return [names, images, selector_text(selector) if selector else _NONE]


def _pod(body: Json) -> list[Any]:
    spec, status = _spec(body), _status(body)
    found = status.get("containerStatuses") or []
    total = len(spec.get("containers") or [])
    ready = sum(1 for c in found if c.get("ready"))
    gates = len(spec.get("readinessGates") or [])
    return [
        name_of(body),
        f"{ready}/{total}",
        pod_state(body),
        _restarts(found),
        age_of(body),
        status.get("podIP") or _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        f"0/{gates}" if gates else _NONE,
    ]


def _restarts(found: Sequence[Json]) -> str:
    count = sum(c.get("restartCount", 0) for c in found)
    ends = [(c.get("lastState") or {}).get("terminated", {}).get("finishedAt") for c in found]
    last = max((end for end in ends if end), default="")
    return f"{count} ({_ago(last)} ago)" if count and last else str(count)


def pod_state(body: Json) -> str:
    """The word in the column STATUS."""
    status = _status(body)
    word = str(status.get("reason") or status.get("phase") or "Unknown")
    inits = status.get("initContainerStatuses") or []
    for index, container in enumerate(inits):
        state = container.get("state") or {}
        ended = state.get("terminated")
        if (ended and ended.get("exitCode") == 0) or container.get("started"):
            continue
        reason = (ended or state.get("waiting") or {}).get("reason") or ""
        if ended:
            return f"Init:{reason or 'ExitCode:' + str(ended.get('exitCode'))}"
        return f"Init:{reason}" if reason and reason != "PodInitializing" else f"Init:{index}/{len(inits)}"
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if waiting and waiting.get("reason"):
            word = waiting["reason"]
        elif ended:
            word = ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
        elif container.get("ready") and state.get("running"):
            running = True
    if word == "Completed" and running:
        word = "Running"
    if body["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return word


def _deployment(body: Json) -> list[Any]:
    status, wanted = _status(body), _spec(body).get("replicas", 1)
    ready = f"{status.get('readyReplicas', 0)}/{wanted}"
    numbers = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [name_of(body), ready, *numbers, age_of(body), *_template(body)]


def _replica_set(body: Json) -> list[Any]:
    status = _status(body)
    numbers = [_spec(body).get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name_of(body), *numbers, age_of(body), *_template(body)]


def _stateful_set(body: Json) -> list[Any]:
    ready = f"{_status(body).get('readyReplicas', 0)}/{_spec(body).get('replicas', 1)}"
    return [name_of(body), ready, age_of(body), *_template(body)[:2]]


def _daemon_set(body: Json) -> list[Any]:
    fields = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    nodes = (_spec(body)["template"].get("spec") or {}).get("nodeSelector") or {}
    selector = ",".join(f"{k}={v}" for k, v in sorted(nodes.items())) or _NONE
    return [
        name_of(body),
        *(_status(body).get(f, 0) for f in fields),
        selector,
        age_of(body),
        *_template(body),
    ]


def _job(body: Json) -> list[Any]:
    spec, status = _spec(body), _status(body)
    done = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    held = {c["type"] for c in status.get("conditions") or [] if c["status"] == "True"}
    words = ("Complete", "Failed", "Suspended", "SuccessCriteriaMet", "FailureTarget")
    word = next((w for w in words if w in held), "Running")
    took = ""
    if begin := status.get("startTime"):
        took = duration(since(begin) - since(status.get("completionTime", "")))
    return [name_of(body), word, done, took, age_of(body), *_template(body)]


def _cron_job(body: Json) -> list[Any]:
    spec, status = _spec(body), _status(body)
    last = status.get("lastScheduleTime")
    inner = _template({"spec": spec["jobTemplate"]["spec"]})
    suspended = "True" if spec.get("suspend") else "False"
    head = [name_of(body), spec["schedule"], spec.get("timeZone") or _NONE, suspended]
    return [*head, len(status.get("active") or []), _ago(last) if last else _NONE, age_of(body), *inner]


def _service(body: Json) -> list[Any]:
    spec = _spec(body)
    ports = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}"
        if p.get("nodePort")
        else f"{p['port']}/{p['protocol']}"
        for p in spec.get("ports") or []
    ]
    outside = _addresses(body) or (
        "<pending>" if spec["type"] == "LoadBalancer" else spec.get("externalName") or _NONE
    )
    selector = ",".join(f"{k}={v}" for k, v in sorted((spec.get("selector") or {}).items())) or _NONE
    head = [name_of(body), spec["type"], spec.get("clusterIP") or _NONE, outside]
    return [*head, ",".join(ports) or _NONE, age_of(body), selector]


def _addresses(body: Json) -> str:
    found = (_status(body).get("loadBalancer") or {}).get("ingress") or []
    return ",".join(entry.get("ip") or entry.get("hostname") or "" for entry in found)


def _ingress(body: Json) -> list[Any]:
    spec = _spec(body)
    hosts = ",".join(rule.get("host") or "*" for rule in spec.get("rules") or []) or "*"
    ports = "80, 443" if spec.get("tls") else "80"
    return [
        name_of(body),
        spec.get("ingressClassName") or _NONE,
        hosts,
        _addresses(body),
        ports,
        age_of(body),
    ]


def _node(body: Json) -> list[Any]:
    status = _status(body)
    ready: Json = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), {})
    word = "Ready" if ready.get("status") == "True" else "NotReady" if ready else "Unknown"
    if _spec(body).get("unschedulable"):
        word += ",SchedulingDisabled"
    info = status.get("nodeInfo") or {}
    inside = next((a["address"] for a in status.get("addresses") or [] if a["type"] == "InternalIP"), _NONE)
    more = [info.get("osImage"), info.get("kernelVersion"), info.get("containerRuntimeVersion")]
    return [name_of(body), word, _NONE, age_of(body), info.get("kubeletVersion", ""), inside, _NONE, *more]


def _namespace(body: Json) -> list[Any]:
    return [name_of(body), _status(body).get("phase", ""), age_of(body)]


def _config_map(body: Json) -> list[Any]:
    return [name_of(body), len(body.get("data") or {}) + len(body.get("binaryData") or {}), age_of(body)]


def _secret(body: Json) -> list[Any]:
    return [name_of(body), body.get("type", ""), len(body.get("data") or {}), age_of(body)]


def _event(body: Json) -> list[Any]:
    about = body.get("involvedObject") or {}
    target = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    last = body.get("lastTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp")
    first = body.get("firstTimestamp") or last
    words = [body.get("type", ""), body.get("reason", ""), target]
    source = ", ".join(v for v in (body.get("source") or {}).values() if v)
    message = str(body.get("message", "")).strip()
    return [
        _ago(last),
        *words,
        about.get("fieldPath", ""),
        source,
        message,
        _ago(first),
        body.get("count", 1),
        name_of(body),
    ]


def _claim(body: Json) -> list[Any]:
    spec, status = _spec(body), _status(body)
    phase = "Terminating" if body["metadata"].get("deletionTimestamp") else status.get("phase", "")
    size = (status.get("capacity") or {}).get("storage", "")
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    modes = ",".join(short.get(m, m) for m in status.get("accessModes") or [])
    more = [spec.get("storageClassName", ""), "<unset>", age_of(body), spec.get("volumeMode", "")]
    return [name_of(body), phase, spec.get("volumeName", ""), size, modes, *more]


def _definition(body: Json) -> list[Any]:
    return [name_of(body), body["metadata"].get("creationTimestamp", "")]


def _autoscaler(body: Json) -> list[Any]:
    spec, status = _spec(body), _status(body)
    target = spec["scaleTargetRef"]
    bounds = [spec.get("minReplicas", 1), spec["maxReplicas"], status.get("currentReplicas", 0)]
    return [name_of(body), f"{target['kind']}/{target['name']}", "<unknown>", *bounds, age_of(body)]


def _role_binding(body: Json) -> list[Any]:
    return [name_of(body), f"{body['roleRef']['kind']}/{body['roleRef']['name']}", age_of(body)]


def _role(body: Json) -> list[Any]:
    return [name_of(body), body["metadata"].get("creationTimestamp", "")]


def _account(body: Json) -> list[Any]:
    return [name_of(body), len(body.get("secrets") or []), age_of(body)]


_WORKLOAD = "+Containers +Images +Selector"
TABLES: dict[str, tuple[str, Cells]] = {
    "Pod": ("Name Ready Status Restarts Age +IP +Node +Nominated_Node +Readiness_Gates", _pod),
    "Deployment": (f"Name Ready Up-to-date Available Age {_WORKLOAD}", _deployment),
    "ReplicaSet": (f"Name Desired Current Ready Age {_WORKLOAD}", _replica_set),
    "StatefulSet": ("Name Ready Age +Containers +Images", _stateful_set),
    "DaemonSet": (
        f"Name Desired Current Ready Up-to-date Available Node_Selector Age {_WORKLOAD}",
        _daemon_set,
    ),
    "Job": (f"Name Status Completions Duration Age {_WORKLOAD}", _job),
    "CronJob": (f"Name Schedule Timezone Suspend Active Last_Schedule Age {_WORKLOAD}", _cron_job),
    "Service": ("Name Type Cluster-IP External-IP Port(s) Age +Selector", _service),
    "Ingress": ("Name Class Hosts Address Ports Age", _ingress),
    "Node": (
        "Name Status Roles Age Version +Internal-IP +External-IP +OS-Image +Kernel-Version +Container-Runtime",
        _node,
    ),
    "Namespace": ("Name Status Age", _namespace),
    "ConfigMap": ("Name Data Age", _config_map),
    "Secret": ("Name Type Data Age", _secret),
    "Event": ("Last_Seen Type Reason Object +Subobject +Source Message +First_Seen +Count +Name", _event),
    "PersistentVolumeClaim": (
        "Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age +VolumeMode",
        _claim,
    ),
    "CustomResourceDefinition": ("Name Created_At", _definition),
    "HorizontalPodAutoscaler": ("Name Reference Targets MinPods MaxPods Replicas Age", _autoscaler),
    "Role": ("Name Created_At", _role),
    "ClusterRole": ("Name Created_At", _role),
    "RoleBinding": ("Name Role Age", _role_binding),
    "ClusterRoleBinding": ("Name Role Age", _role_binding),
    "ServiceAccount": ("Name Secrets Age", _account),
}
