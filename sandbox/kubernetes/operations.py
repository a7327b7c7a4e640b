"""Operations on objects, by the rules for all kinds: the part between HTTP and the store.

Everything here raises Refused. A dry run does all the same steps and stores nothing.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from engine.types import Json
from sandbox.kubernetes import (
    admission,
    apply,
    defaults,
    limitranges,
    podsecurity,
    quotas,
    validation,
    webhooks,
)
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.refusals import Refused, about, bad_request, conflict, not_found, uid_differs
from sandbox.kubernetes.schema import drop_empty
from sandbox.kubernetes.store import Store, Stored, clone

Change = Callable[[Json], Json]
Managed = list[Json] | None  # managedFields that server-side apply has made; None for what is to be tracked
SYSTEM = Manager("kube-controller-manager")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of made-up names (k8s.io/apimachinery/pkg/util/rand)
# what only the server sets
_SERVERS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
# what a change of the status may touch, too
_WITH_STATUS = ("annotations", "managedFields", "finalizers", "resourceVersion")


@dataclass(frozen=True)
class Deletion:
    """How to delete. `propagation`: Background, Foreground, Orphan, or "" for the kind's own default."""

    propagation: str = ""
    grace: int | None = None
    uid: str = ""
    version: str = ""


@dataclass
class Operations:
    """The cluster's objects, and all ways to change them. `dry_run`: nothing is stored."""

    store: Store
    kinds: Kinds
    system: Manager = SYSTEM
    dry_run: bool = False

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        stored = self.store.get(kind.key, namespace, name)
        if stored is None:
            raise not_found(kind, name)
        return stored

    # --- create ----------------------------------------------------------------------------------------------------

    def create(
        self, kind: Kind, namespace: str, body: Json, *, manager: Manager = SYSTEM, managed: Managed = None
    ) -> Stored:
        """Stores a new object. `body` becomes the object: it must not be used otherwise."""
        metadata = body["metadata"]
        _place(metadata, kind, namespace)
        if kind.namespaced:
            self._check_home(kind, namespace, metadata)
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + made_up(5)
        for name in (*_SERVERS, "managedFields"):
            metadata.pop(name, None)
        metadata["uid"] = str(uuid.uuid4())
        if kind.has_status and kind.kind not in ("Node", "PersistentVolumeClaim"):
            body.pop("status", None)
        if kind.key == ("", "pods"):
            limitranges.complete(self.store, body)
        self._prepare(kind, None, body, manager, managed)
        if kind.key == ("", "pods"):
            limitranges.check(body)
        if self.store.get(kind.key, namespace, metadata["name"]):
            words = f'{kind.full_plural} "{metadata["name"]}" already exists'
            raise Refused(409, "AlreadyExists", words, about(kind, metadata["name"]))
        podsecurity.refuse(self.store, kind, body)
        quotas.check(self.store, kind, body)
        metadata["creationTimestamp"] = stamp()
        if kind.has_generation():
            metadata["generation"] = 1
        return self._put(kind, _ordered(body))

    def _check_home(self, kind: Kind, namespace: str, metadata: Json) -> None:
        """Refuses a namespace that does not exist or is being deleted."""
        home = self.get(self.kinds.core("namespaces"), "", namespace).body
        if home["metadata"].get("deletionTimestamp"):
            name = metadata.get("name", "")
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            message = f'{kind.full_plural} "{name}" is forbidden: {why}'
            raise Refused(403, "Forbidden", message, about(kind, name))

    def _prepare(self, kind: Kind, old: Json | None, new: Json, manager: Manager, managed: Managed) -> None:
        """The common part of creations and changes: defaults, managers, admission, validation."""
        if not kind.custom:
            drop_empty(new, kind.type)
        defaults.fill(new, kind)
        tracked = apply.track_update(old, new, kind.type, manager) if managed is None else managed
        if old is None:
            admission.admit_new(new, kind, self.store, dry_run=self.dry_run)
        else:
            admission.admit_change(new, old, kind, self.store, dry_run=self.dry_run)
        new["metadata"]["managedFields"] = tracked
        if not manager.subresource:
            webhooks.ask(self.store, kind, "UPDATE" if old else "CREATE", new, dry_run=self.dry_run)
        if manager.subresource in ("", "scale"):
            validation.check(new, kind, old)

    def _put(self, kind: Kind, body: Json) -> Stored:
        if not self.dry_run:
            return self.store.put(kind, body)
        return Stored((kind.key, body["metadata"].get("namespace", ""), body["metadata"]["name"]), 0, body)

    def _remove(self, stored: Stored) -> None:
        if not self.dry_run:
            self.store.remove(stored)

    # --- update ----------------------------------------------------------------------------------------------------

    def update(
        self, kind: Kind, namespace: str, name: str, change: Change, *, manager: Manager = SYSTEM
    ) -> Stored:
        """Stores the result of `change` on a copy of the object. `manager.subresource`: the part that may change."""
        old = self.get(kind, namespace, name)
        return self._finish(kind, old, change(clone(old.body)), manager)

    def apply(
        self, kind: Kind, namespace: str, name: str, config: Json, *, manager: Manager, force: bool
    ) -> tuple[Stored, bool]:
        """Server-side apply. Returns the object, and whether it is new."""
        old = self.store.get(kind.key, namespace, name)
        part, metadata = manager.subresource, config["metadata"]
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        _place(metadata, kind, namespace, name)
        if part:
            config = {k: v for k, v in config.items() if k in ("apiVersion", "kind", "metadata", part)}
        elif kind.has_status:
            config.pop("status", None)
        if old is None:
            if part:
                raise not_found(kind, name)
            metadata.pop("resourceVersion", None)
            if wanted := metadata.get("uid"):
                why = f"uid mismatch: the provided object specified uid {wanted}, and no existing object was found"
                raise conflict(kind, name, why)
            body, managed = apply.apply(None, config, kind.type, manager, force=force)
            return self.create(kind, namespace, body, managed=managed), True
        metadata.pop("creationTimestamp", None)
        merged, managed = apply.apply(old.body, config, kind.type, manager, force=force)
        return self._finish(kind, old, clone(merged), manager, managed), False

    def _finish(
        self, kind: Kind, old: Stored, new: Json, manager: Manager, managed: Managed = None
    ) -> Stored:
        """The common end of every change."""
        before, part = old.body, manager.subresource
        _place(new["metadata"], kind, *old.key[1:])
        _check_identity(kind, before["metadata"], new["metadata"])
        new = _allowed_part(kind, before, new, part)
        metadata = new["metadata"]
        given = metadata.get("managedFields") or before["metadata"].get("managedFields") or []
        metadata["managedFields"] = [] if given == [{}] else given
        self._prepare(kind, before, new, manager, managed)
        if part != "status" and kind.has_generation() and admission.is_new_generation(new, before, kind):
            metadata["generation"] = before["metadata"].get("generation", 0) + 1
        new = _ordered(new)
        if new == before:
            return old
        stored = self._put(kind, new)
        if _is_over(new):
            self._remove(stored)
        return stored

    def set_status(self, kind: Kind, stored: Stored, status: Json) -> None:
        """For controllers: replaces the status if it differs; an object that is gone meanwhile is left alone."""
        who = Manager(SYSTEM.name, "Update", "status")
        if self.store.get(*stored.key):
            self.update(kind, *stored.key[1:], lambda body: {**body, "status": status}, manager=who)

    # --- delete ----------------------------------------------------------------------------------------------------

    def delete(
        self, kind: Kind, namespace: str, name: str, how: Deletion = Deletion()
    ) -> tuple[Stored, bool]:
        """Begins or ends a deletion. Returns the object as it was or is, and whether it is gone."""
        old = self.get(kind, namespace, name)
        metadata = old.body["metadata"]
        if how.uid and how.uid != metadata["uid"]:
            raise uid_differs(kind, name, how.uid, metadata["uid"])
        if how.version and how.version != metadata["resourceVersion"]:
            raise conflict(kind, name)
        finalizers = admission.finalizers_of_deletion(kind, metadata.get("finalizers") or [], how.propagation)
        grace = admission.grace_of_deletion(kind, old.body, how.grace)
        if finalizers or grace or kind.kind == "Namespace":
            return self._mark(kind, old, finalizers, grace), False
        self._remove(old)
        return old, True

    def _mark(self, kind: Kind, old: Stored, finalizers: list[str], grace: int) -> Stored:
        """Writes down that the object is to go."""
        new = clone(old.body)
        metadata = new["metadata"]
        first = not metadata.get("deletionTimestamp")
        if first or grace < metadata.get("deletionGracePeriodSeconds", 0):
            metadata |= {"deletionTimestamp": stamp(grace), "deletionGracePeriodSeconds": grace}
        if first and kind.has_generation():
            metadata["generation"] = metadata.get("generation", 0) + 1
        if finalizers:
            metadata["finalizers"] = finalizers
        if kind.kind == "Namespace":
            new.setdefault("status", {})["phase"] = "Terminating"
        return old if new == old.body else self._put(kind, new)


def _place(metadata: Json, kind: Kind, namespace: str, name: str = "") -> None:
    """Writes the address into the object, which may not name another one."""
    if not kind.namespaced:
        metadata.pop("namespace", None)
    elif (metadata.get("namespace") or namespace) != namespace:
        words = "the namespace of the provided object does not match the namespace sent on the request"
        raise bad_request(words)
    if name and (metadata.get("name") or name) != name:
        words = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        raise bad_request(words)
    metadata |= {k: v for k, v in {"name": name, "namespace": namespace}.items() if v}


def _check_identity(kind: Kind, before: Json, now: Json) -> None:
    """Refuses a change that names another object or version. Restores the fields that only the server sets."""
    if (now.get("uid") or before["uid"]) != before["uid"]:
        raise uid_differs(kind, before["name"], now["uid"], before["uid"])
    if (now.get("resourceVersion") or before["resourceVersion"]) != before["resourceVersion"]:
        raise conflict(kind, before["name"])
    for name in _SERVERS:
        now.pop(name, None)
    now |= {name: before[name] for name in (*_SERVERS, "resourceVersion") if name in before}


def _allowed_part(kind: Kind, old: Json, new: Json, part: str) -> Json:
    """The new object with only the part changed that this change may touch: all but the status, or the status alone."""
    if part == "status":
        metadata = {name: new["metadata"][name] for name in _WITH_STATUS if name in new["metadata"]}
        whole = clone(old)
        return {**whole, "metadata": {**whole["metadata"], **metadata}, "status": new.get("status") or {}}
    if kind.has_status and kind.kind != "PersistentVolume":
        new.pop("status", None)
        if "status" in old:
            new["status"] = clone(old["status"])
    return new


def _is_over(body: Json) -> bool:
    """Whether nothing keeps a deleted object any more."""
    metadata, is_namespace = body["metadata"], (body["apiVersion"], body["kind"]) == ("v1", "Namespace")
    keeps = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    keeps = keeps or (is_namespace and (body.get("spec") or {}).get("finalizers"))
    return bool(metadata.get("deletionTimestamp")) and not keeps


def _ordered(body: Json) -> Json:
    """Kind and version first, as the server writes them; empty managedFields left out."""
    if not body["metadata"].get("managedFields"):
        body["metadata"].pop("managedFields", None)
    return {name: body[name] for name in ("kind", "apiVersion", "metadata")} | body


def made_up(length: int) -> str:
    """The end of a made-up name."""
    return "".join(random.choices(_LETTERS, k=length))
