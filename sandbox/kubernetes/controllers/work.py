"""What all controllers share: a queue of objects to look at; pods, owners, status and events in the controllers' words."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import traceback
import uuid
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from engine.types import Json
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.operations import Deletion, Operations
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import selects
from sandbox.kubernetes.store import Key, KindKey, Stored, clone, encode

# group and plural of the kinds that controllers know
PODS, NODES, NAMESPACES, EVENTS = ("", "pods"), ("", "nodes"), ("", "namespaces"), ("", "events")
CLAIMS, ACCOUNTS, SECRETS = ("", "persistentvolumeclaims"), ("", "serviceaccounts"), ("", "secrets")
DEPLOYMENTS, SETS, DAEMONS = ("apps", "deployments"), ("apps", "replicasets"), ("apps", "daemonsets")
NUMBERED, REVISIONS = ("apps", "statefulsets"), ("apps", "controllerrevisions")
JOBS, CRON_JOBS = ("batch", "jobs"), ("batch", "cronjobs")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
OVER = ("Succeeded", "Failed")  # phases of pods that have ended
_AT_ONCE = 25  # objects looked at before requests get their turn again
_ALWAYS = """observedGeneration replicas currentNumberScheduled numberMisscheduled desiredNumberScheduled
    numberReady ready terminating uncountedTerminatedPods"""  # in a status also when they are 0
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
Look = Callable[["Work", Stored], None]


class Work:
    """The queue, and what is done to objects in it. An object that is asked for twice is looked at once."""

    def __init__(self, operations: Operations, access: Access, authority: bytes, look: Look) -> None:
        self.operations = operations
        self.store = operations.store
        self.kinds = operations.kinds
        self.access = access
        self.authority = authority
        self._look = look
        self._due: dict[Key, None] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}
        self._running = False
        self._stopped = False

    def ask(self, key: Key) -> None:
        """Look at this object soon."""
        self._due[key] = None
        if not self._running and not self._stopped:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def ask_in(self, key: Key, seconds: float) -> None:
        """Look at this object after a while."""
        self.later(seconds, key, lambda: self.ask(key))

    def later(self, seconds: float, name: Hashable, work: Callable[[], None]) -> None:
        """Does something after a while; of what has the same name, only the soonest."""
        loop = asyncio.get_running_loop()
        if known := self._timers.get(name):
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()

        def run() -> None:
            del self._timers[name]
            work()

        if not self._stopped:
            self._timers[name] = loop.call_later(seconds, run)

    def stop(self) -> None:
        """Nothing happens any more."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()

    def _run(self) -> None:
        for key in list(self._due)[:_AT_ONCE]:
            del self._due[key]
            self._look_at(key)
        self._running = bool(self._due) and not self._stopped
        if self._running:
            asyncio.get_running_loop().call_soon(self._run)

    def _look_at(self, key: Key) -> None:
        try:
            if stored := self.store.get(*key):
                self._look(self, stored)
        except Refused as refusal:
            if refusal.code not in (404, 409):
                print(f"{key}: {refusal.message}", file=sys.stderr, flush=True)
            self.ask_in(key, 0.5 if refusal.code == 409 else 5.0)
        except Exception:  # noqa: BLE001 - one object must not stop the others
            traceback.print_exc(file=sys.stderr)

    # --- objects -----------------------------------------------------------------------------------------------------

    def controlled(self, owner: Json, kind: KindKey = PODS) -> list[Stored]:
        """What an object controls, of one kind, oldest first."""
        uid = owner["metadata"]["uid"]
        found = [
            s
            for s in self.store.owned_by(uid)
            if s.key[0] == kind and controller_of(s.body).get("uid") == uid
        ]
        return sorted(found, key=lambda s: (s.body["metadata"]["creationTimestamp"], s.version))

    def claimed(self, stored: Stored, kind: KindKey = PODS) -> list[Stored]:
        """As `controlled`, after taking over what the selector selects and nobody controls (as orphaned ones are)."""
        owner = stored.body
        for orphan in list(self.store.orphans(kind, stored.key[1])):
            metadata = orphan.body["metadata"]
            if selects(owner["spec"].get("selector"), metadata.get("labels") or {}) and not is_going(
                orphan.body
            ):
                owners = [*(metadata.get("ownerReferences") or []), reference(owner)]
                self.set_metadata(orphan, ownerReferences=owners)
        return self.controlled(owner, kind)

    def create(self, key: KindKey, owner: Json, body: Json, *, owned: bool = True) -> Stored:
        """Creates something in the namespace of `owner`, which controls it when it is `owned`."""
        kind = self.kinds.get(*key)
        if owned:
            body["metadata"]["ownerReferences"] = [reference(owner)]
        whole = clone({"apiVersion": kind.api_version, "kind": kind.kind, **body})
        return self.operations.create(kind, owner["metadata"]["namespace"], whole)

    def add_pod(
        self,
        owner: Json,
        metadata: Json | None = None,
        spec: Json | None = None,
        template: Json | None = None,
    ) -> None:
        """A pod of the owner's template (or another one), with more metadata and spec laid over it; told in an event."""
        template = template or owner["spec"]["template"]
        about, more = template.get("metadata") or {}, metadata or {}
        whole = {"generateName": f"{owner['metadata']['name']}-", **more}
        for field in ("labels", "annotations"):
            whole[field] = {**(about.get(field) or {}), **(more.get(field) or {})}
        body = {"metadata": whole, "spec": {**template["spec"], **(spec or {})}}
        try:
            pod = self.create(PODS, owner, body)
        except Refused as refusal:
            self.event(owner, "FailedCreate", f"Error creating: {refusal.message}", kind="Warning")
            raise
        self.event(owner, "SuccessfulCreate", f"Created pod: {pod.key[2]}")

    def remove_pod(self, owner: Json, pod: Stored) -> None:
        """Deletes a pod that is not about to go anyway, and tells it in an event."""
        if not is_going(pod.body):
            self.delete(pod)
            self.event(owner, "SuccessfulDelete", f"Deleted pod: {pod.key[2]}")

    def delete(self, stored: Stored, propagation: str = "Background") -> None:
        """Deletes an object that may be gone already."""
        if self.store.get(*stored.key):
            kind = self.kinds.get(*stored.key[0])
            self.operations.delete(kind, *stored.key[1:], Deletion(propagation))

    def change(self, stored: Stored, change: Callable[[Json], Json]) -> None:
        """Changes an object's spec or metadata; one without its last finalizer goes. Raises Refused."""
        if self.store.get(*stored.key):
            self.operations.update(self.kinds.get(*stored.key[0]), *stored.key[1:], change)

    def set_metadata(self, stored: Stored, **fields: object) -> None:
        """Sets fields of an object's metadata; lists that became empty are left out."""

        def change(body: Json) -> Json:
            metadata = {k: v for k, v in {**body["metadata"], **fields}.items() if v != []}
            return {**body, "metadata": metadata}

        self.change(stored, change)

    def report(self, stored: Stored, status: Json, *conditions: Json) -> None:
        """Writes the status: zeros left out, conditions with the times since when they say what they say."""
        old = at(stored.body, "status.conditions") or []
        updates = stored.key[0] == DEPLOYMENTS
        status = {**status, "conditions": dated(old, conditions, updates=updates)}
        if stored.key[0][0] == "apps":
            status["observedGeneration"] = stored.body["metadata"]["generation"]
        lean = {k: v for k, v in status.items() if v or k in _ALWAYS.split()}
        self.operations.set_status(self.kinds.get(*stored.key[0]), stored, lean)

    def ready_and_available(self, stored: Stored, pods: Iterable[Json]) -> tuple[int, int]:
        """How many pods of an object are; asks again when the next one will be available."""
        seconds = stored.body["spec"].get("minReadySeconds", 0)
        waits = [wait for pod in pods if (wait := available_in(pod, seconds)) is not None]
        later = [wait for wait in waits if wait > 0]
        if later:
            self.ask_in(stored.key, min(later) + 0.1)
        return len(waits), len(waits) - len(later)

    def event(
        self, about: Json, reason: str, message: str, *, kind: str = "Normal", source: str = ""
    ) -> None:
        """Tells something about an object; the same again is counted. `source`: else the controller of its kind."""
        metadata, now = about["metadata"], stamp()
        namespace = metadata.get("namespace") or "default"
        source = source or f"{about['kind'].lower()}-controller"
        identity = hashlib.sha256(encode([metadata["uid"], reason, message])).hexdigest()[:16]
        name = f"{metadata['name'][:220]}.{identity}"
        before = self.store.get(EVENTS, namespace, name)
        body = before.body if before else _first_event(about, namespace, name)
        said = {"reason": reason, "message": message, "type": kind, "source": {"component": source}}
        again = {"count": body.get("count", 0) + 1, "lastTimestamp": now, "reportingComponent": source}
        if self.store.get(NAMESPACES, "", namespace):
            self.store.put(self.kinds.core("events"), {**body, **said, **again})


def _first_event(about: Json, namespace: str, name: str) -> Json:
    target = {**pointer(about), "namespace": about["metadata"].get("namespace")}
    metadata = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": stamp()}
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": metadata,
        "involvedObject": {k: v for k, v in target.items() if v},
        "firstTimestamp": stamp(),
        "eventTime": None,
        "reportingInstance": "",
    }


def pointer(body: Json) -> Json:
    """What names an object."""
    metadata = body["metadata"]
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def reference(owner: Json) -> Json:
    """The owner reference of a controller."""
    return {**pointer(owner), "controller": True, "blockOwnerDeletion": True}


def controller_of(body: Json) -> Json:
    """The reference to the object's controller, {} when it has none."""
    return next((r for r in body["metadata"].get("ownerReferences") or [] if r.get("controller")), {})


def at(body: Json, path: str) -> Any:
    """What is at a path such as `status.phase`; None when some part of it is missing."""
    found: Any = body
    for step in path.split("."):
        found = (found or {}).get(step)
    return found


def labels_of(body: Json) -> dict[str, str]:
    return body["metadata"].get("labels") or {}


def annotations_of(body: Json) -> dict[str, str]:
    return body["metadata"].get("annotations") or {}


def is_going(body: Json) -> bool:
    """Whether it is marked for deletion."""
    return "deletionTimestamp" in body["metadata"]


def is_active(pod: Json) -> bool:
    """Whether a pod runs or will."""
    return not is_going(pod) and at(pod, "status.phase") not in OVER


def condition(body: Json, kind: str) -> Json:
    """A condition of an object's status, {} when it has none of that type."""
    return next((c for c in at(body, "status.conditions") or [] if c["type"] == kind), {})


def is_ready(body: Json) -> bool:
    """Whether a pod or a node is ready."""
    return condition(body, "Ready").get("status") == "True"


def available_in(pod: Json, seconds: float) -> float | None:
    """In how many seconds a ready pod counts as available: 0 for now, None as long as it is not ready."""
    if not is_ready(pod):
        return None
    waited = since(condition(pod, "Ready").get("lastTransitionTime", "")) if seconds else 0.0
    return max(0.0, seconds - waited)


def template_hash(template: Json) -> str:
    """The short name of a pod template, in letters that make no words."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:5], "big")
    letters = ""
    for _ in range(9):
        number, index = divmod(number, len(_SAFE))
        letters += _SAFE[index]
    return letters


def share(value: object, total: int, *, up: bool) -> int:
    """A number, or a share such as `25%` of a total."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    part = int(text[:-1]) * total
    return -(-part // 100) if up else part // 100


def dated(old: Iterable[Json], new: Iterable[Json], *, updates: bool = False) -> list[Json]:
    """Conditions with the time since when they have their status and, with `updates`, since when they say all they say."""
    before = {c["type"]: c for c in old}
    result = []
    for entry in new:
        last = before.get(entry["type"], {})
        now, same = stamp(), last.get("status") == entry["status"]
        times = {"lastTransitionTime": last.get("lastTransitionTime", now) if same else now}
        if updates:
            same = {**last, **entry} == last
            times["lastUpdateTime"] = last.get("lastUpdateTime", now) if same else now
        result.append({**times, **entry})
    return result
