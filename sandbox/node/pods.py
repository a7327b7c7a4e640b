"""A pod on a played node: the states of its containers, and the status that a kubelet makes of them.

Phases and conditions follow the kubelet (pkg/kubelet/kubelet_pods.go: getPhase; pkg/kubelet/status/generate.go).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.types import Json
from sandbox.node.behaviour import Role
from sandbox.node.clock import stamp

_OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


@dataclass
class Container:
    """One container of a pod and what has become of it. States are written as in `ContainerStatus`."""

    spec: Json
    role: Role
    restart_policy: str
    state: Json
    last_state: Json = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    started: bool = False
    image_id: str = ""
    container_id: str = ""

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def image(self) -> str:
        return str(self.spec["image"])

    @property
    def sidecar(self) -> bool:
        """An init container that goes on running beside the others."""
        return self.role is Role.SERVICE and self.spec.get("restartPolicy") == "Always"

    @property
    def exit_code(self) -> int | None:
        """Of the run that has ended, while no other has begun or is waited for."""
        return self.state.get("terminated", {}).get("exitCode") if "terminated" in self.state else None

    def restarts_after(self, exit_code: int) -> bool:
        """Whether the kubelet starts it again."""
        return self.restart_policy == "Always" or (self.restart_policy == "OnFailure" and exit_code != 0)

    def wait(self, reason: str, message: str = "") -> None:
        """It is not running, but waiting for something. How the last run ended is kept."""
        self.keep_last_state()
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.ready = self.started = False

    def keep_last_state(self) -> None:
        """How it ended becomes how the last run ended."""
        if "terminated" in self.state:
            self.last_state = self.state

    def status(self) -> Json:
        """Its entry in `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "containerID": self.container_id,
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
            "state": self.state,
            "lastState": self.last_state,
        }


class Pod:
    """A pod bound to one of our nodes. `lock` is held by whoever changes it."""

    def __init__(self, body: Json) -> None:
        """`body` as the API server shows it; states of an earlier player in its status are taken over."""
        meta = body["metadata"]
        self.lock = threading.RLock()
        self.uid: str = meta["uid"]
        self.name: str = meta["name"]
        self.namespace: str = meta["namespace"]
        self.spec: Json = body["spec"]
        self.node: str = self.spec["nodeName"]
        self.annotations: dict[str, str] = meta.get("annotations") or {}
        self.adopted = bool((body.get("status") or {}).get("startTime"))
        self.leaving = False  # its deletion has been asked for
        self.ending = False  # and is being carried out
        self.planned_ip = ""
        self.sandbox_ready = False  # the pod's network and volumes are there
        self.torn_down = False  # nothing of it is left on the node, so that its phase may say that it is over
        self.ip = ""
        self.start_time = stamp()
        self._sent: Json = {}
        self.latest = body  # as the API server showed it last; replaced by the thread that follows pods
        self._conditions: dict[str, Json] = {}
        policy = self.spec.get("restartPolicy", "Always")
        self.inits = [
            self._container(c, init=True, policy=policy) for c in self.spec.get("initContainers") or []
        ]
        self.containers = [self._container(c, init=False, policy=policy) for c in self.spec["containers"]]
        if self.adopted:
            self._adopt(body["status"])

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    @property
    def all_containers(self) -> list[Container]:
        return [*self.inits, *self.containers]

    @property
    def finished(self) -> bool:
        """Nothing will run in it any more."""
        return self.phase() in ("Succeeded", "Failed")

    def find(self, container: str) -> Container | None:
        return next((c for c in self.all_containers if c.name == container), None)

    def reference(self, container: Container | None = None) -> Json:
        """The ObjectReference for events about it, or about one of its containers."""
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
        }
        if container is None:
            return about
        field_name = "initContainers" if container in self.inits else "containers"
        return {**about, "fieldPath": f"spec.{field_name}{{{container.name}}}"}

    def phase(self) -> str:
        """As the kubelet finds it from the containers' states."""
        if any(c.exit_code and c.restart_policy == "Never" for c in self.inits):
            return "Failed"
        if any(not _init_done(c) for c in self.inits):
            return "Pending"
        if any("waiting" in c.state and not c.last_state for c in self.containers):
            return "Pending"
        if any("running" in c.state for c in self.containers):
            return "Running"
        codes = [c.exit_code for c in self.containers]
        if not self.ending and any(
            code is None or c.restarts_after(code) for c, code in zip(self.containers, codes, strict=True)
        ):
            return "Running"
        return "Succeeded" if not any(codes) else "Failed"

    def status(self) -> Json:
        """The status to report, complete but for fields that are not a kubelet's."""
        phase = self.phase()
        status: Json = {
            "phase": self._shown(phase),
            "startTime": self.start_time,
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "conditions": self._all_conditions(phase),
            "containerStatuses": [c.status() for c in self.containers],
        }
        if self.inits:
            status["initContainerStatuses"] = [c.status() for c in self.inits]
        if self.ip:
            status["podIP"] = self.ip
            status["podIPs"] = [{"ip": self.ip}]
        if generation := self.latest["metadata"].get("generation"):
            status["observedGeneration"] = generation
        return status

    def _shown(self, phase: str) -> str:
        """The phase to report: that a pod is over is said when it is torn down."""
        if phase not in ("Succeeded", "Failed") or self.torn_down or self.ending:
            return phase
        return "Running" if all(_init_done(c) for c in self.inits) else "Pending"

    def unsent_status(self) -> Json | None:
        """The status when it differs from the one reported last, else None."""
        status = self.status()
        return None if status == self._sent else status

    def sent(self, status: Json) -> None:
        self._sent = status

    def is_contradicted(self) -> bool:
        """Whether the API server shows as unready what was reported as ready: its node was taken for lost for a while."""
        return _is_ready(self._sent) and not _is_ready(self.latest.get("status") or {})

    def forget_sent(self) -> None:
        """The status is to be reported again, although it has not changed."""
        self._sent = {}

    def _all_conditions(self, phase: str) -> list[Json]:
        """Ours as they are now, each keeping the time of its last change, and the others' as they are."""
        done, over = "PodCompleted", phase == "Succeeded"
        unready = [c.name for c in self.containers if not c.ready]
        why = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
        if over or phase == "Failed":
            why = (done if over else "PodFailed", "")
        waiting = [c.name for c in self.inits if not _init_done(c)]
        init = ("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")
        if over:
            init = (done, "")
        gone = (over or phase == "Failed") and (self.torn_down or self.ending)
        self._set("PodReadyToStartContainers", self.sandbox_ready and not gone)
        self._set("Initialized", not waiting, *(init if waiting or over else ()))
        ready = not unready and phase == "Running"
        for kind in ("Ready", "ContainersReady"):
            self._set(kind, ready, *(() if ready else why))
        others = (self.latest.get("status") or {}).get("conditions") or []
        return [*self._conditions.values(), *(c for c in others if c["type"] not in _OURS)]

    def _set(self, kind: str, value: bool, reason: str = "", message: str = "") -> None:
        status = "True" if value else "False"
        before = self._conditions.get(kind, {})
        since = before.get("lastTransitionTime") if before.get("status") == status else stamp()
        condition = {"type": kind, "status": status, "lastTransitionTime": since or stamp()}
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        self._conditions[kind] = condition

    def _container(self, spec: Json, *, init: bool, policy: str) -> Container:
        sidecar = init and spec.get("restartPolicy") == "Always"
        if init and not sidecar:
            role, policy = Role.INIT, "Never" if policy == "Never" else "OnFailure"
        else:
            role = Role.SERVICE if sidecar or policy == "Always" else Role.JOB
            policy = "Always" if sidecar else policy
        reason = "PodInitializing" if self.spec.get("initContainers") else "ContainerCreating"
        return Container(spec, role, policy, {"waiting": {"reason": reason}})

    def _adopt(self, status: Json) -> None:
        """Goes on from what an earlier player reported."""
        self.start_time = status["startTime"]
        self.torn_down = status.get("phase") in ("Succeeded", "Failed")
        self.ip = status.get("podIP", "")
        self._conditions = {c["type"]: c for c in status.get("conditions") or [] if c["type"] in _OURS}
        ready_to_start = self._conditions.get("PodReadyToStartContainers", {})
        self.sandbox_ready = ready_to_start.get("status") == "True"
        for entry in _entries(status):
            if container := self.find(entry["name"]):
                container.state = entry.get("state") or container.state
                container.last_state = entry.get("lastState") or {}
                container.restarts = entry.get("restartCount", 0)
                container.ready = entry.get("ready", False)
                container.started = bool(entry.get("started"))
                container.image_id = entry.get("imageID", "")
                container.container_id = entry.get("containerID", "")


def _init_done(container: Container) -> bool:
    """An init container has done its work when it ended well; a sidecar when it has started."""
    return container.started if container.sidecar else container.exit_code == 0


def _entries(status: Json) -> Iterable[Json]:
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _is_ready(status: Json) -> bool:
    return any((one["type"], one["status"]) == ("Ready", "True") for one in status.get("conditions") or [])
