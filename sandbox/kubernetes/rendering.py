"""Objects and lists in the form that was asked for: whole, metadata only, or as a table.

The columns of tables (k8s.io/kubernetes/pkg/printers/internalversion) are a table, too, read by small functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from engine.types import Json
from sandbox.kubernetes.clock import since
from sandbox.kubernetes.kinds import Kind, rows
from sandbox.kubernetes.selectors import find, selector_text
from sandbox.kubernetes.store import Stored, encode

_META = "meta.k8s.io/v1"
Render = Callable[[Stored], bytes]
Column = tuple[Json, Callable[[Json], Any]]  # its head, and what gives its cells

# kind: Column=source ...; `+` is for columns of `-o wide`, `_` for a space. A source is a path in the object (`~` before
# it: how long ago that time was; `#`: how many things are there), a function of below, or a text; `|` parts those of
# which the first that gives something counts, `/` those that are shown with a stroke between them.
_WORKLOAD = "Age +Containers +Images +Selector"
_COLUMNS = rows(f"""
Pod: Name Ready=pod_ready Status=pod_state Restarts=restarts Age +IP=status.podIP|<none> +Node=spec.nodeName|<none>
    +Nominated_Node=status.nominatedNodeName|<none> +Readiness_Gates=<none>
Deployment: Name Ready Up-to-date=status.updatedReplicas|0 Available=status.availableReplicas|0 {_WORKLOAD}
ReplicaSet: Name Desired=spec.replicas Current=status.replicas|0 Ready=status.readyReplicas|0 {_WORKLOAD}
StatefulSet: Name Ready Age +Containers +Images
DaemonSet: Name Desired=status.desiredNumberScheduled|0 Current=status.currentNumberScheduled|0
    Ready=status.numberReady|0 Up-to-date=status.updatedNumberScheduled|0 Available=status.numberAvailable|0
    Node_Selector=spec.template.spec.nodeSelector|<none> {_WORKLOAD}
Job: Name Status=job_state Completions=status.succeeded|0/spec.completions|1 Duration=job_duration {_WORKLOAD}
CronJob: Name Schedule=spec.schedule Timezone=spec.timeZone|<none> Suspend=suspended Active=#status.active
    Last_Schedule=~status.lastScheduleTime|<none> Age
Service: Name Type=spec.type Cluster-IP=spec.clusterIP|<none> External-IP=address|spec.externalName|<none>
    Port(s)=service_ports|<none> Age +Selector=spec.selector|<none>
Ingress: Name Class=spec.ingressClassName|<none> Hosts=spec.rules[*].host|* Address=address Ports=ingress_ports Age
Node: Name Status=node_state Roles=<none> Age Version=status.nodeInfo.kubeletVersion
    +Internal-IP=status.addresses[?(@.type=="InternalIP")].address|<none> +External-IP=<none>
    +OS-Image=status.nodeInfo.osImage +Kernel-Version=status.nodeInfo.kernelVersion
    +Container-Runtime=status.nodeInfo.containerRuntimeVersion
Namespace: Name Status=status.phase Age
ConfigMap: Name Data=data Age
Secret: Name Type=.type Data=data Age
Event: Last_Seen=~.lastTimestamp|~.eventTime|~metadata.creationTimestamp Type=.type Reason=.reason Object=event_object
    +Subobject=involvedObject.fieldPath +Source=source.component Message=.message
    +First_Seen=~.firstTimestamp|~.eventTime|~metadata.creationTimestamp +Count=.count|1 +Name
PersistentVolumeClaim: Name Status=status.phase Volume=spec.volumeName Capacity=status.capacity.storage
    Access_Modes=status.accessModes[*] StorageClass=spec.storageClassName VolumeAttributesClass=<unset> Age
CustomResourceDefinition Role ClusterRole: Name Created_At=metadata.creationTimestamp
HorizontalPodAutoscaler: Name Reference=spec.scaleTargetRef.kind/spec.scaleTargetRef.name Targets=<unknown>
    MinPods=spec.minReplicas MaxPods=spec.maxReplicas Replicas=status.currentReplicas|0 Age
RoleBinding ClusterRoleBinding: Name Role=roleRef.kind/roleRef.name Age
ServiceAccount: Name Secrets=#.secrets Age
""")
_SOURCES = {  # of columns that several kinds have
    "Name": "metadata.name",
    "Ready": "status.readyReplicas|0/spec.replicas",
    "Age": "~metadata.creationTimestamp|<unknown>",
    "Containers": "spec.template.spec.containers[*].name",
    "Images": "spec.template.spec.containers[*].image",
    "Selector": "selector|<none>",
}


def renderer(kind: Kind, form: str, *, include: str = "Metadata", watch: bool = False) -> Render:
    """Gives one object's JSON in a form. In a watch, tables come without their head after the first one."""
    heads = iter([True])

    def table(stored: Stored) -> bytes:
        metadata = {"resourceVersion": str(stored.version)}
        return encode(_table(kind, [stored], metadata, include, head=next(heads, not watch)))

    if form == "Table":
        return table
    if form:
        return lambda stored: encode(_metadata_of(stored.body))
    return lambda stored: _data(kind, stored)


def listed(kind: Kind, found: Sequence[Stored], metadata: Json, form: str, include: str) -> bytes:
    """A whole list."""
    if form == "Table":
        return encode(_table(kind, found, metadata, include))
    if form:
        head = {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": metadata}
        items = [encode(_metadata_of(stored.body)) for stored in found]
    else:
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        items = [_data(kind, stored) for stored in found]
        if not kind.custom:  # then they come without kind and version, which every stored object begins with
            start = encode({"kind": kind.kind, "apiVersion": kind.api_version})[1:-1] + b","
            items = [b"{" + item[1:].removeprefix(start) for item in items]
    return encode(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _table(kind: Kind, found: Sequence[Stored], metadata: Json, include: str, *, head: bool = True) -> Json:
    """A Table object. `include`: the part of its object that each row carries (Metadata, Object or None)."""
    columns = _columns_of(kind)
    rows: list[Json] = []
    for body in (_versioned(kind, stored) for stored in found):
        row = {"cells": [cell(body) for _, cell in columns]}
        carried = body if include == "Object" else _metadata_of(body)
        rows.append(row if include == "None" else {**row, "object": carried})
    definitions = [definition for definition, _ in columns] if head else None
    table = {"kind": "Table", "apiVersion": _META, "metadata": metadata}
    return {**table, "columnDefinitions": definitions, "rows": rows}


def _versioned(kind: Kind, stored: Stored) -> Json:
    """The object under the version that was asked for."""
    body = stored.body
    return body if body["apiVersion"] == kind.api_version else {**body, "apiVersion": kind.api_version}


def _data(kind: Kind, stored: Stored) -> bytes:
    if not kind.custom or stored.body["apiVersion"] == kind.api_version:
        return stored.data
    return encode(_versioned(kind, stored))


def _metadata_of(body: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": body["metadata"]}


# --- columns and cells -------------------------------------------------------------------------------------------------


def _columns_of(kind: Kind) -> list[Column]:
    """The columns of the built-in table; for a custom kind the name and the columns of its definition (or the age)."""
    if not kind.columns:
        return [_column(word) for word in _COLUMNS.get("" if kind.custom else kind.kind, "Name Age").split()]
    columns = [_column("Name")]
    for given in kind.columns:
        path = given["jsonPath"].replace("[*]", "[0]")  # only the first counts, of however many
        source = f"~{path}" if given.get("type") == "date" else path
        head = _head(**{k: v for k, v in given.items() if k != "jsonPath"})
        columns.append((head, partial(_found, source=source)))
    return columns


def _column(word: str) -> Column:
    title, _, source = word.partition("=")
    name = title.removeprefix("+").replace("_", " ")
    head = _head(name, priority=int(title[0] == "+"), format="name" if name == "Name" else "")
    return head, partial(_cell, source=source or _SOURCES[name])


def _head(name: str, **more: Any) -> Json:
    return {"name": name, "type": "string", "format": "", "description": name, "priority": 0, **more}


def _cell(body: Json, source: str) -> Any:
    if "/" in source:
        return "/".join(str(_cell(body, part)) for part in source.split("/"))
    return next((found for choice in source.split("|") if (found := _found(body, choice)) != ""), "")


def _found(body: Json, source: str) -> Any:
    """The value of a single source; "" without one."""
    if source in _FUNCTIONS:
        return _FUNCTIONS[source](body)
    if "." not in source:
        return int(source) if source.isdigit() else source
    values = find(body, source.lstrip("~#"))
    if source[0] == "#":
        return sum(map(len, values))
    if "[*]" in source:
        return ",".join(map(str, values))
    value = values[0] if values else ""
    if isinstance(value, dict):
        return selector_text({"matchLabels": value})
    return _ago(value) if source[0] == "~" else value


# --- times -----------------------------------------------------------------------------------------------------------

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Below how many seconds a time is told in which units.
_SPANS = {120: "s", 600: "ms", 10_800: "m", 28_800: "hm", 172_800: "h", 691_200: "dh"}


def duration(seconds: float) -> str:
    """`5s`, `3m12s`, `4h5m`, `2d`, as Kubernetes shortens times (k8s.io/apimachinery/pkg/util/duration)."""
    left = max(0, int(seconds))
    text = ""
    for unit in next((units for limit, units in _SPANS.items() if left < limit), "d"):
        count, left = divmod(left, _SECONDS[unit])
        text += f"{count}{unit}" if count or not text else ""
    return text


def _ago(text: str) -> str:
    return duration(since(text)) if text else ""


# --- what no path tells ----------------------------------------------------------------------------------------------


def _pod_ready(pod: Json) -> str:
    ready = find(pod, "status.containerStatuses[*].ready")
    return f"{ready.count(True)}/{len(pod['spec']['containers'])}"


def _pod_state(pod: Json) -> str:
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"):
        return "Terminating"
    inits = status.get("initContainerStatuses") or []
    for index, container in enumerate(inits):
        if not container.get("started") and find(container, "state.terminated.exitCode") != [0]:
            word = _why_not_running(container)
            return f"Init:{index}/{len(inits)}" if word in ("", "PodInitializing") else f"Init:{word}"
    containers = status.get("containerStatuses") or []
    words = [*map(_why_not_running, containers), status.get("reason"), status.get("phase"), "Unknown"]
    word = next(filter(None, words))
    running = any(c.get("ready") and find(c, "state.running") for c in containers)
    return "Running" if word == "Completed" and running else word


def _why_not_running(container: Json) -> str:
    state = container.get("state") or {}
    if ended := state.get("terminated"):
        return ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
    return (state.get("waiting") or {}).get("reason") or ""


def _restarts(pod: Json) -> str:
    count = sum(find(pod, "status.containerStatuses[*].restartCount"))
    ends = find(pod, "status.containerStatuses[*].lastState.terminated.finishedAt")
    return f"{count} ({_ago(max(ends))} ago)" if count and ends else str(count)


def _job_duration(job: Json) -> str:
    status = job.get("status") or {}
    begin, end = status.get("startTime"), status.get("completionTime", "")
    return duration(since(begin) - since(end)) if begin else ""


def _address(body: Json) -> str:
    """Of a load balancer, as a service or ingress has one."""
    found = [at.get("ip") or at.get("hostname") for at in find(body, "status.loadBalancer.ingress[*]")]
    return ",".join(found) or ("<pending>" if find(body, "spec.type") == ["LoadBalancer"] else "")


def _service_ports(service: Json) -> str:
    ports = find(service, "spec.ports[*]")
    numbers = (":".join(str(port[k]) for k in ("port", "nodePort") if k in port) for port in ports)
    return ",".join(f"{number}/{port['protocol']}" for number, port in zip(numbers, ports, strict=True))


def _node_state(node: Json) -> str:
    ready = find(node, 'status.conditions[?(@.type=="Ready")].status')
    word = "Unknown" if not ready else "Ready" if ready == ["True"] else "NotReady"
    return f"{word},SchedulingDisabled" if find(node, "spec.unschedulable") == [True] else word


_FUNCTIONS: dict[str, Callable[[Json], Any]] = {
    "pod_ready": _pod_ready,
    "pod_state": _pod_state,
    "restarts": _restarts,
    "job_state": lambda job: ["Running", *find(job, 'status.conditions[?(@.status=="True")].type')][-1],
    "job_duration": _job_duration,
    "selector": lambda body: selector_text(body["spec"].get("selector") or {}),
    "suspended": lambda cron: str(bool(cron["spec"].get("suspend"))),
    "address": _address,
    "service_ports": _service_ports,
    "ingress_ports": lambda ingress: "80, 443" if find(ingress, "spec.tls[*]") else "80",
    "node_state": _node_state,
    "data": lambda body: len(body.get("data") or {}) + len(body.get("binaryData") or {}),
    "event_object": lambda event: _cell(event, "involvedObject.kind/involvedObject.name").lower(),
}
