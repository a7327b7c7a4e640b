"""What all controllers share: a queue of objects to look at, words for pods and owners, events."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable

from engine.types import Json
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.operations import Deletion, Operations
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Key, Stored, clone, encode

PODS = ("", "pods")
_AT_ONCE = 25  # objects looked at before requests get their turn again
_RETRY_SECONDS = 0.5
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
Reconcile = Callable[["Work", Stored], None]


class Work:
    """The queue. An object that is asked for twice is looked at once."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self.store = operations.store
        self.kinds = operations.kinds
        self.reconcilers: dict[tuple[str, str], Reconcile] = {}
        self._due: dict[Key, None] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._running = False
        self.stopped = False

    def ask(self, key: Key) -> None:
        """Look at this object soon."""
        if key[0] not in self.reconcilers or self.stopped:
            return
        self._due[key] = None
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def ask_in(self, key: Key, seconds: float) -> None:
        """Look at this object after a while; the latest call counts."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if not self.stopped:
            self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.ask, key)

    def stop(self) -> None:
        self.stopped = True
        for timer in self._timers.values():
            timer.cancel()

    def _run(self) -> None:
        for key in list(self._due)[:_AT_ONCE]:
            del self._due[key]
            self._look_at(key)
        self._running = bool(self._due) and not self.stopped
        if self._running:
            asyncio.get_running_loop().call_soon(self._run)

    def _look_at(self, key: Key) -> None:
        stored = self.store.get(*key)
        if stored is None:
            return
        try:
            self.reconcilers[key[0]](self, stored)
        except Refused as refusal:
            if refusal.code not in (404, 409):
                print(f"{key}: {refusal.message}", file=sys.stderr, flush=True)
            self.ask_in(key, _RETRY_SECONDS if refusal.code == 409 else 5.0)
        except Exception:  # noqa: BLE001 - one object must not stop the others
            traceback.print_exc(file=sys.stderr)

    # --- owners and owned --------------------------------------------------------------------------------------------

    def controlled(self, owner: Json, kind: tuple[str, str] = PODS) -> list[Stored]:
        """What an object controls, of one kind, oldest first."""
        uid = owner["metadata"]["uid"]
        found = [
            s
            for s in self.store.owned_by(uid)
            if s.key[0] == kind and controller_of(s.body).get("uid") == uid
        ]
        return sorted(found, key=lambda s: (s.body["metadata"]["creationTimestamp"], s.version))

    def create(
        self, kind: Kind, owner: Json, body: Json, *, manager: str = "kube-controller-manager"
    ) -> Stored:
        """Creates something that `owner` controls, in its namespace."""
        body["metadata"]["ownerReferences"] = [reference(owner)]
        namespace = owner["metadata"]["namespace"]
        body |= {"apiVersion": kind.api_version, "kind": kind.kind}
        return self.operations.create(kind, namespace, body, manager=Manager(manager))

    def create_pod(self, owner: Json, template: Json, metadata: Json, spec: Json | None = None) -> Stored:
        """A pod of a template. `metadata` adds a name and labels, `spec` lays itself over the template's."""
        about = template.get("metadata") or {}
        whole: Json = {
            **metadata,
            "labels": {**(about.get("labels") or {}), **(metadata.get("labels") or {})},
        }
        annotations = {**(about.get("annotations") or {}), **(metadata.get("annotations") or {})}
        if annotations:
            whole["annotations"] = annotations
        body = {"metadata": whole, "spec": {**template["spec"], **(spec or {})}}
        return self.create(self.kinds.core("pods"), owner, clone(body))

    def delete(self, stored: Stored, propagation: str = "Background") -> None:
        """Deletes an object that may be gone already."""
        kind = self.kinds.get(*stored.key[0])
        try:
            self.operations.delete(kind, stored.key[1], stored.key[2], Deletion(propagation))
        except Refused as refusal:
            if refusal.code != 404:
                raise

    def set_status(self, stored: Stored, status: Json) -> None:
        """Writes the status of an object that is in the store, numbers that are 0 left out."""
        kind = self.kinds.get(*stored.key[0])
        lean = {
            k: v
            for k, v in status.items()
            if v not in (None, 0, [], {}) or k in ("observedGeneration", "replicas")
        }
        self.operations.set_status(kind, stored, lean)

    def change(self, stored: Stored, change: Callable[[Json], Json]) -> Stored:
        """Changes an object's spec or metadata."""
        kind = self.kinds.get(*stored.key[0])
        return self.operations.update(kind, stored.key[1], stored.key[2], change)

    # --- events ------------------------------------------------------------------------------------------------------

    def event(self, about: Json, kind: str, reason: str, message: str, source: str) -> None:
        """Tells something about an object; the same again is counted."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        identity = hashlib.sha256(encode([metadata["uid"], reason, message])).hexdigest()[:16]
        name = f"{metadata['name'][:220]}.{identity}"
        events = self.kinds.core("events")
        before = self.store.get(events.key, namespace, name)
        if before is not None:
            count = before.body.get("count", 1) + 1
            self.store.put(events, {**before.body, "count": count, "lastTimestamp": stamp()})
            return
        target = {"kind": about["kind"], "namespace": metadata.get("namespace"), "name": metadata["name"]}
        target |= {"uid": metadata["uid"], "apiVersion": about["apiVersion"]}
        body = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": stamp(),
            },
            "involvedObject": {k: v for k, v in target.items() if v},
            "reason": reason,
            "message": message,
            "source": {"component": source},
            "firstTimestamp": stamp(),
            "lastTimestamp": stamp(),
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": source,
            "reportingInstance": "",
        }
        if self.store.get(("", "namespaces"), "", namespace):
            self.store.put(events, body)


def reference(owner: Json) -> Json:
    """The owner reference of a controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(body: Json) -> Json:
    """The reference to the object's controller, {} when it has none."""
    return next((r for r in body["metadata"].get("ownerReferences") or [] if r.get("controller")), {})


def is_going(body: Json) -> bool:
    return bool(body["metadata"].get("deletionTimestamp"))


def is_active(pod: Json) -> bool:
    """Whether a pod runs or will."""
    return not is_going(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def condition(body: Json, kind: str) -> Json:
    found = (body.get("status") or {}).get("conditions") or []
    return next((c for c in found if c["type"] == kind), {})


def is_ready(pod: Json) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def available_in(pod: Json, seconds: float) -> float | None:
    """In how many seconds a ready pod counts as available: 0 for now, None as long as it is not ready."""
    if not is_ready(pod):
        return None
    return (
        max(0.0, seconds - since(condition(pod, "Ready").get("lastTransitionTime", ""))) if seconds else 0.0
    )


def count_available(work: Work, key: Key, pods: Iterable[Json], seconds: float) -> int:
    """How many pods are available; asks again when the next one will be."""
    waits = [wait for pod in pods if (wait := available_in(pod, seconds)) is not None]
    later = [wait for wait in waits if wait > 0]
    if later:
        work.ask_in(key, min(later) + 0.1)
    return len(waits) - len(later)


def template_hash(template: Json) -> str:
    """The short name of a pod template, in letters that make no words."""
    number = int.from_bytes(hashlib.sha256(encode(_sorted(template))).digest()[:5], "big")
    letters = ""
    for _ in range(9):
        number, index = divmod(number, len(_SAFE))
        letters += _SAFE[index]
    return letters


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def share(value: object, total: int, *, up: bool) -> int:
    """A number, or a share such as `25%` of a total."""
    if isinstance(value, str) and value.endswith("%"):
        part = int(value[:-1]) * total
        return -(-part // 100) if up else part // 100
    return int(str(value))


def merged_conditions(old: Iterable[Json], new: Iterable[Json], *, updates: bool = False) -> list[Json]:
    """Conditions with their times: of transition when the status changes, of update (if kept) when the words do."""
    before = {c["type"]: c for c in old}
    result = []
    for entry in new:
        last = before.get(entry["type"], {})
        times = {"lastTransitionTime": stamp()}
        if last.get("status") == entry["status"]:
            times["lastTransitionTime"] = last.get("lastTransitionTime") or stamp()
        if updates:
            same = all(last.get(k) == entry.get(k) for k in ("status", "reason", "message"))
            times["lastUpdateTime"] = (
                last["lastUpdateTime"] if same and not entry.get("_progress") else stamp()
            )
        result.append({**{k: v for k, v in entry.items() if k != "_progress"}, **times})
    return result
