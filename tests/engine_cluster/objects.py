"""Objects for the tests of this folder: as manifests write them, and as a cluster shows them."""

from __future__ import annotations

import copy
from typing import Any

from engine.cluster.resources import ref_of
from engine.types import ENVIRONMENT_LABEL, OBJECT_ANNOTATION, PHASE_ANNOTATION, Json, Manifest, Source

ENVIRONMENT = "shop.staging"
IMAGE = "registry.example/app:1"
BEHAVIOUR = "slipway.sandbox/behaviour"
PROBE = {
    "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1}
}  # without one a container is ready at once


def manifest(body: Json, line: int = 1) -> Manifest:
    """A body as rendering leaves it: with our marks."""
    body = copy.deepcopy(body)
    metadata = body["metadata"]
    metadata["labels"] = {**metadata.get("labels", {}), ENVIRONMENT_LABEL: ENVIRONMENT}
    metadata["annotations"] = {**metadata.get("annotations", {}), OBJECT_ANNOTATION: str(ref_of(body))}
    return Manifest(ref_of(body), body["apiVersion"].rpartition("/")[2], body, Source("app.yaml", line))


def manifests(*bodies: Json) -> list[Manifest]:
    return [manifest(body, 1 + 20 * number) for number, body in enumerate(bodies)]


def _object(api_version: str, kind: str, namespace: str, name: str, **rest: Any) -> Json:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def namespace(name: str) -> Json:
    return _object("v1", "Namespace", "", name)


def config_map(where: str, name: str = "settings", **data: str) -> Json:
    return _object("v1", "ConfigMap", where, name, data=data or {"KEY": "value"})


def secret(where: str, name: str = "keys", **data: str) -> Json:
    return _object("v1", "Secret", where, name, type="Opaque", data=data or {"KEY": "aHVzaA=="})


def template(behaviour: str = "", *, image: str = IMAGE, name: str = "web", **container: Any) -> Json:
    annotations = {"annotations": {BEHAVIOUR: behaviour}} if behaviour else {}
    spec = {"containers": [{"name": name, "image": image, **container}], "terminationGracePeriodSeconds": 1}
    return {"metadata": {"labels": {"app": name}, **annotations}, "spec": spec}


def deployment(where: str, name: str = "web", *, replicas: int = 1, behaviour: str = "", **spec: Any) -> Json:
    pods = template(behaviour, image=spec.pop("image", IMAGE), name=name, **spec.pop("container", {}))
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pods, **spec}
    return _object("apps/v1", "Deployment", where, name, spec=spec)


def stateful_set(where: str, name: str = "db", *, replicas: int = 1, behaviour: str = "") -> Json:
    spec = {
        "replicas": replicas,
        "serviceName": name,
        "selector": {"matchLabels": {"app": name}},
        "template": template(behaviour, name=name),
    }
    return _object("apps/v1", "StatefulSet", where, name, spec=spec)


def daemon_set(where: str, name: str = "agent", *, behaviour: str = "") -> Json:
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template(behaviour, name=name)}
    return _object("apps/v1", "DaemonSet", where, name, spec=spec)


def job(where: str, name: str = "migrate", *, phase: str = "", behaviour: str = "", **spec: Any) -> Json:
    pods = template(behaviour, name=name)
    pods["spec"]["restartPolicy"] = "Never"
    body = _object("batch/v1", "Job", where, name, spec={"backoffLimit": 0, "template": pods, **spec})
    if phase:
        body["metadata"]["annotations"] = {PHASE_ANNOTATION: phase}
    return body


# As a cluster shows them


def pod(
    name: str = "web-1",
    *,
    owner: str = "rs-1",
    phase: str = "Pending",
    ready: bool = False,
    labels: dict[str, str] | None = None,
    containers: list[Json] | None = None,
    init: list[Json] | None = None,
    conditions: list[Json] | None = None,
    **status: Any,
) -> Json:
    """A pod of the cluster."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *(conditions or [])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": labels or {},
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {"containers": [{"name": "web", "image": "registry.example/app:abc"}]},
        "status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": containers or [],
            "initContainerStatuses": init or [],
            **status,
        },
    }


def waiting(
    reason: str, message: str = "", *, name: str = "web", restarts: int = 0, last: Json | None = None
) -> Json:
    """A container that waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    ended = {"terminated": last} if last else {}
    return {"name": name, "image": "other", "restartCount": restarts, "state": state, "lastState": ended}


def live_deployment(*, generation: int = 2, seen: int = 2, replicas: int = 2, **status: Any) -> Json:
    """A Deployment with its status; counts default to a finished rollout."""
    counts = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "d-1",
            "generation": generation,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {"replicas": replicas, "progressDeadlineSeconds": 600},
        "status": {"observedGeneration": seen, **counts, **status},
    }


def replica_set(uid: str = "rs-1", *, owner: str = "d-1", revision: str = "2") -> Json:
    return {
        "metadata": {
            "name": f"web-{uid}",
            "namespace": "shop",
            "uid": uid,
            "ownerReferences": [{"uid": owner}],
            "annotations": {"deployment.kubernetes.io/revision": revision},
        }
    }
