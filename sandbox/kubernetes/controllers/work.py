"""The base of all controllers: the queue of objects to look at, and the changes of objects."""

from __future__ import annotations

import asyncio
import hashlib
import math
import sys
import traceback
import uuid

from engine.types import Json
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.controllers import bodies, keys
from sandbox.kubernetes.controllers.bodies import is_going, reference
from sandbox.kubernetes.operations import Deletion, Operations
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.selectors import selects
from sandbox.kubernetes.store import Key, KindKey, Stored, clone, encode

_AT_ONCE = 25  # objects looked at before requests get their turn again
_ALWAYS = """observedGeneration replicas currentNumberScheduled numberMisscheduled desiredNumberScheduled
    numberReady ready terminating uncountedTerminatedPods"""  # in a status also when they are 0


class Work:
    """The queue, and changes of objects. An object that is asked for twice is looked at once."""

    def __init__(self, operations: Operations, access: Access, *, authority: bytes) -> None:
        self.operations = operations
        self.store = operations.store
        self.kinds = operations.kinds
        self.access = access
        self.authority = authority
        self._due: dict[Key, None] = {}
        self._later: dict[Key, float] = {}
        self._running = False
        self._stopped = False

    def look(self, stored: Stored) -> None:
        """One look at one object, and the next step. Raises Refused."""
        raise NotImplementedError

    def ask(self, key: Key) -> None:
        """Look at this object soon."""
        self._due[key] = None
        if not self._running and not self._stopped:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def ask_in(self, key: Key, seconds: float) -> None:
        """Look at this object after a while; of several whiles, the shortest counts."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0.2, seconds)
        if when < self._later.get(key, math.inf):
            self._later[key] = when
            loop.call_at(when, self._ask_now, key)

    def _ask_now(self, key: Key) -> None:
        self._later.pop(key, None)
        self.ask(key)

    def stop(self) -> None:
        """Stops looking at objects."""
        self._stopped = True

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
                self.look(stored)
        except Refused as refusal:
            print(f"{key}: {refusal.message}", file=sys.stderr, flush=True)
            self.ask_in(key, 0.5 if refusal.code == 409 else 5.0)
        except Exception:  # noqa: BLE001 - one object must not stop the others
            traceback.print_exc(file=sys.stderr)

    # --- objects -----------------------------------------------------------------------------------------------------

    def controlled(self, owner: Json, kind: KindKey = keys.PODS) -> list[Stored]:
        """The objects of one kind that an object controls, oldest first."""
        uid = owner["metadata"]["uid"]
        found = [s for s in self.store.owned_by(uid) if s.key[0] == kind]
        mine = [s for s in found if bodies.controller_of(s.body).get("uid") == uid]
        return sorted(mine, key=lambda s: (s.body["metadata"]["creationTimestamp"], s.version))

    def claimed(self, stored: Stored, kind: KindKey = keys.PODS) -> list[Stored]:
        """As `controlled`, after taking over the objects that its selector matches and that have no controller."""
        selector = stored.body["spec"].get("selector")
        for orphan in list(self.store.orphans(kind, stored.key[1])):
            if selects(selector, bodies.labels_of(orphan.body)) and not is_going(orphan.body):
                owners = orphan.body["metadata"].get("ownerReferences") or []
                self.change(orphan, metadata={"ownerReferences": [*owners, reference(stored.body)]})
        return self.controlled(stored.body, kind)

    def provide(self, key: KindKey, namespace: str, metadata: Json, **parts: object) -> None:
        """Creates an object unless it exists."""
        if self.store.get(key, namespace, metadata["name"]) is None:
            self._create(key, namespace, {"metadata": metadata, **parts})

    def create(self, key: KindKey, owner: Json, metadata: Json, **parts: object) -> Stored:
        """Creates an object that `owner` controls, in its namespace."""
        metadata = {**metadata, "ownerReferences": [reference(owner)]}
        return self._create(key, owner["metadata"]["namespace"], {"metadata": metadata, **parts})

    def _create(self, key: KindKey, namespace: str, body: Json) -> Stored:
        kind = self.kinds.get(*key)
        whole = clone({"apiVersion": kind.api_version, "kind": kind.kind, **body})
        return self.operations.create(kind, namespace, whole)

    def add_pod(self, owner: Json, metadata: Json, spec: Json, template: Json | None = None) -> None:
        """Creates a pod from the owner's template (or `template`) with further metadata and spec, and an event about it."""
        template = template or owner["spec"]["template"]
        prefix, labels = f"{owner['metadata']['name']}-", bodies.labels_of(template)
        own = {"generateName": prefix, "annotations": bodies.annotations_of(template), **metadata}
        own["labels"] = {**labels, **metadata.get("labels", {})}
        try:
            pod = self.create(keys.PODS, owner, own, spec={**template["spec"], **spec})
        except Refused as refusal:
            self.event(owner, "FailedCreate", f"Error creating: {refusal.message}", kind="Warning")
            raise
        self.event(owner, "SuccessfulCreate", f"Created pod: {pod.key[2]}")

    def remove_pod(self, owner: Json, pod: Stored) -> None:
        """Deletes a pod unless it is being deleted already, and creates an event about it."""
        if not is_going(pod.body):
            self.delete(pod)
            self.event(owner, "SuccessfulDelete", f"Deleted pod: {pod.key[2]}")

    def delete(self, stored: Stored, propagation: str = "Background") -> None:
        """Deletes an object that may be gone already."""
        if self.store.get(*stored.key):
            kind = self.kinds.get(*stored.key[0])
            self.operations.delete(kind, *stored.key[1:], Deletion(propagation))

    def change(self, stored: Stored, part: str = "", **fields: Json) -> None:
        """Lays fields over parts of an object that may be gone already: `change(node, spec={"taints": []})`.

        Lists that become empty are left out; a deleted object goes with its last finalizer. `part`: "status" for
        a change of the status. Raises Refused.
        """

        def change(body: Json) -> Json:
            for name, more in fields.items():
                whole = {**(body.get(name) or {}), **more}
                body[name] = {k: v for k, v in whole.items() if v != []}
            return body

        if self.store.get(*stored.key):
            manager = Manager(self.operations.system.name, "Update", part)
            kind = self.kinds.get(*stored.key[0])
            self.operations.update(kind, *stored.key[1:], change, manager=manager)

    def report(self, stored: Stored, status: Json, *conditions: Json) -> None:
        """Writes the status: without zeros, and each condition with the time of its last change."""
        status = {**status, "conditions": bodies.dated(stored.body, conditions)}
        if stored.key[0][0] == "apps":
            status["observedGeneration"] = stored.body["metadata"]["generation"]
        lean = {k: v for k, v in status.items() if v or k in _ALWAYS.split()}
        if lean != stored.body.get("status"):
            self.operations.set_status(self.kinds.get(*stored.key[0]), stored, lean)

    def count(self, stored: Stored, pods: list[Stored]) -> Json:
        """How many pods of an object there are, ready, and available; asks again when the next one will be."""
        seconds = stored.body["spec"].get("minReadySeconds", 0)
        waits = [wait for p in pods if (wait := bodies.available_in(p.body, seconds)) is not None]
        later = [wait for wait in waits if wait > 0]
        if later:
            self.ask_in(stored.key, min(later) + 0.1)
        available = len(waits) - len(later)
        return {"replicas": len(pods), "readyReplicas": len(waits), "availableReplicas": available}

    def event(self, about: Json, reason: str, message: str, kind: str = "Normal", source: str = "") -> None:
        """Tells something about an object; the same again is counted. `source`: else the controller of its kind."""
        namespace, now = about["metadata"].get("namespace") or "default", stamp()
        identity = hashlib.sha256(encode([about["metadata"]["uid"], reason, message])).hexdigest()[:16]
        name = f"{about['metadata']['name'][:220]}.{identity}"
        before = self.store.get(keys.EVENTS, namespace, name)
        own = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now}
        body: Json = before.body if before else {"metadata": own, "firstTimestamp": now}
        source = source or f"{about['kind'].lower()}-controller"
        said: Json = {"involvedObject": bodies.pointer(about), "reason": reason, "message": message}
        said |= {"type": kind, "source": {"component": source}, "reportingComponent": source}
        said |= {"count": body.get("count", 0) + 1, "lastTimestamp": now, "eventTime": None}
        if self.store.get(keys.NAMESPACES, "", namespace):
            whole = {"kind": "Event", "apiVersion": "v1", **body, **said}
            self.store.put(self.kinds.core("events"), whole)
