"""What can be done to objects, by the rules that hold for all kinds: the part between HTTP and the store.

Everything here raises Refused. A dry run goes the whole way and stores nothing.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.types import Json
from sandbox.kubernetes import admission, apply, defaults, quotas, validation, webhooks
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.clock import stamp
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.refusals import (
    Refused,
    already_exists,
    bad_request,
    conflict,
    not_found,
    uid_differs,
)
from sandbox.kubernetes.schema import drop_empty
from sandbox.kubernetes.store import Store, Stored, clone

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of made-up names (k8s.io/apimachinery/pkg/util/rand)
_SERVERS = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
_STATUS_ANNOTATIONS = ("annotations", "managedFields", "finalizers", "resourceVersion")


@dataclass(frozen=True)
class Deletion:
    """How to delete. `propagation`: Background, Foreground, Orphan, or "" for the kind's own default."""

    propagation: str = ""
    grace: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False


@dataclass
class Operations:
    """The cluster's objects, and all ways to change them."""

    store: Store
    kinds: Kinds
    system: Manager = field(default=Manager("kube-controller-manager"))

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        stored = self.store.get(kind.key, namespace if kind.namespaced else "", name)
        if stored is None:
            raise not_found(kind, name)
        return stored

    # --- create ----------------------------------------------------------------------------------------------------

    def create(
        self,
        kind: Kind,
        namespace: str,
        body: Json,
        *,
        manager: Manager | None = None,
        dry_run: bool = False,
        managed: list[Json] | None = None,
    ) -> Stored:
        """Stores a new object. `body` becomes the object: it must not be used otherwise.

        `managed` are its managedFields when server-side apply made it.
        """
        metadata = body["metadata"]
        self._place(kind, namespace, metadata)
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + made_up(5)
        for name in (*_SERVERS, "managedFields"):
            metadata.pop(name, None)
        metadata["uid"] = str(uuid.uuid4())
        if kind.has_status and kind.kind not in ("Node", "PersistentVolumeClaim"):
            body.pop("status", None)
        _complete(body, kind)
        if managed is None:
            managed = apply.track_update(None, body, kind.type, manager or self.system)
        metadata["managedFields"] = managed
        admission.admit_new(body, kind, self.store)
        webhooks.ask(self.store, kind, "CREATE", body, dry_run=dry_run)
        validation.check(body, kind, None)
        if self.store.get(kind.key, metadata.get("namespace", ""), metadata["name"]):
            raise already_exists(kind, metadata["name"])
        quotas.check(self.store, kind, body)
        metadata["creationTimestamp"] = stamp()
        if kind.has_generation():
            metadata["generation"] = 1
        if dry_run:
            return Stored((kind.key, namespace, metadata["name"]), 0, _ordered(body))
        return self.store.put(kind, _ordered(body))

    def _place(self, kind: Kind, namespace: str, metadata: Json) -> None:
        """The namespace fits, is there, and stays."""
        if not kind.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.setdefault("namespace", namespace) != namespace:
            words = "the namespace of the provided object does not match the namespace sent on the request"
            raise bad_request(words)
        home = self.store.get(("", "namespaces"), "", namespace)
        if home is None:
            raise not_found(self.kinds.core("namespaces"), namespace)
        if home.body["metadata"].get("deletionTimestamp"):
            raise _terminating(kind, metadata.get("name", ""), namespace)

    # --- update ----------------------------------------------------------------------------------------------------

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Json], Json],
        *,
        manager: Manager | None = None,
        dry_run: bool = False,
    ) -> Stored:
        """Stores what `change` makes of (a copy of) the object. `manager.subresource` says which part may change."""
        old = self.get(kind, namespace, name)
        new = change(clone(old.body))
        return self._finish(kind, old, new, manager or self.system, dry_run=dry_run)

    def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        config: Json,
        *,
        manager: Manager,
        force: bool,
        dry_run: bool,
    ) -> tuple[Stored, bool]:
        """Server-side apply. Returns the object, and whether it is new."""
        old = self.store.get(kind.key, namespace if kind.namespaced else "", name)
        metadata = config["metadata"]
        if manager.subresource:
            config = {
                k: v
                for k, v in config.items()
                if k in ("apiVersion", "kind", "metadata", manager.subresource)
            }
        elif kind.has_status:
            config.pop("status", None)
        if old is None:
            if manager.subresource:
                raise not_found(kind, name)
            self._check_new(kind, name, metadata)
            body, managed = apply.apply(None, config, kind.type, manager, force=force)
            return self.create(kind, namespace, body, dry_run=dry_run, managed=managed), True
        metadata.pop("creationTimestamp", None)
        merged, managed = apply.apply(old.body, config, kind.type, manager, force=force)
        new = clone(merged)
        return self._finish(kind, old, new, manager, dry_run=dry_run, managed=managed), False

    def _check_new(self, kind: Kind, name: str, metadata: Json) -> None:
        if metadata.get("resourceVersion"):
            raise conflict(kind, name)
        if metadata.get("uid"):
            words = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
            raise conflict(kind, name, words)

    def _finish(
        self,
        kind: Kind,
        old: Stored,
        new: Json,
        manager: Manager,
        *,
        dry_run: bool,
        managed: list[Json] | None = None,
    ) -> Stored:
        """The common end of every change."""
        self._check_identity(kind, old, new)
        new = _allowed_part(kind, old.body, new, manager.subresource)
        _keep_servers(old.body["metadata"], new["metadata"])
        _complete(new, kind)
        if managed is None:
            managed = apply.track_update(old.body, _with_managers(new, old.body), kind.type, manager)
        admission.admit_change(new, old.body, kind, self.store)
        new["metadata"]["managedFields"] = managed
        if not manager.subresource:
            validation.check(new, kind, old.body)
        if (
            kind.has_generation()
            and manager.subresource != "status"
            and admission.is_new_generation(new, old.body, kind)
        ):
            new["metadata"]["generation"] = old.body["metadata"].get("generation", 0) + 1
        new["metadata"]["resourceVersion"] = old.body["metadata"].get("resourceVersion")
        if not managed:
            new["metadata"].pop("managedFields", None)
        if new == old.body:
            return old
        if not manager.subresource:
            webhooks.ask(self.store, kind, "UPDATE", new, dry_run=dry_run)
        if dry_run:
            return Stored(old.key, old.version, _ordered(new))
        stored = self.store.put(kind, new)
        if _is_over(new):
            self.store.remove(stored)
        return stored

    def _check_identity(self, kind: Kind, old: Stored, new: Json) -> None:
        metadata, before = new["metadata"], old.body["metadata"]
        name = before["name"]
        if metadata.get("name", name) != name:
            words = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            raise bad_request(words)
        if kind.namespaced and metadata.get("namespace", before["namespace"]) != before["namespace"]:
            words = "the namespace of the provided object does not match the namespace sent on the request"
            raise bad_request(words)
        if metadata.get("uid", before["uid"]) != before["uid"]:
            words = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {before['uid']}"
            raise conflict(kind, name, words)
        if metadata.get("resourceVersion", "") not in ("", before["resourceVersion"]):
            raise conflict(kind, name)

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
        waits = bool(finalizers) or grace > 0 or kind.kind == "Namespace"
        if how.dry_run:
            return old, not waits
        if not waits:
            self.store.remove(old)
            return old, True
        return self._mark(kind, old, finalizers, grace), False

    def _mark(self, kind: Kind, old: Stored, finalizers: list[str], grace: int) -> Stored:
        """Writes down that the object is to go."""
        new = clone(old.body)
        metadata = new["metadata"]
        if not metadata.get("deletionTimestamp"):
            metadata["deletionTimestamp"] = stamp(grace)
            metadata["deletionGracePeriodSeconds"] = grace
            if kind.has_generation():
                metadata["generation"] = metadata.get("generation", 0) + 1
        elif grace < metadata.get("deletionGracePeriodSeconds", 0):
            metadata |= {"deletionTimestamp": stamp(grace), "deletionGracePeriodSeconds": grace}
        if finalizers:
            metadata["finalizers"] = finalizers
        if kind.kind == "Namespace":
            new.setdefault("status", {})["phase"] = "Terminating"
        return old if new == old.body else self.store.put(kind, new)

    # --- for controllers -------------------------------------------------------------------------------------------

    def set_status(self, kind: Kind, stored: Stored, status: Json, *, manager: str = "") -> None:
        """Replaces the status if it differs; an object that is gone meanwhile is left alone."""
        namespace, name = stored.key[1:]
        who = Manager(manager or self.system.name, "Update", "status")
        try:
            self.update(kind, namespace, name, lambda body: {**body, "status": status}, manager=who)
        except Refused as refusal:
            if refusal.code != 404:
                raise


def _terminating(kind: Kind, name: str, namespace: str) -> Refused:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    message = f'{kind.full_plural} "{name}" is forbidden: {why}'
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    group = {"group": kind.group} if kind.group else {}
    details = {"name": name, **group, "kind": kind.plural, "causes": [cause]}
    return Refused(403, "Forbidden", message, details)


def _allowed_part(kind: Kind, old: Json, new: Json, subresource: str) -> Json:
    """What a change may touch: everything but the status, or the status alone."""
    if not subresource or subresource == "scale":
        if kind.has_status and kind.kind != "PersistentVolume":
            new.pop("status", None)
            if "status" in old:
                new["status"] = clone(old["status"])
        return new
    if subresource == "status":
        metadata = clone(old["metadata"])
        for name in _STATUS_ANNOTATIONS:
            if name in new["metadata"]:
                metadata[name] = new["metadata"][name]
        return {**clone(old), "metadata": metadata, "status": new.get("status") or {}}
    return new


def _complete(body: Json, kind: Kind) -> None:
    """Defaults in, empty maps and lists out."""
    if not kind.custom:
        drop_empty(body, kind.type)
    defaults.fill(body, kind)


def _keep_servers(old: Json, new: Json) -> None:
    """Puts back what only the server sets."""
    for name in (*_SERVERS, "name", "namespace"):
        if name in old:
            new[name] = old[name]
        else:
            new.pop(name, None)


def _with_managers(new: Json, old: Json) -> Json:
    """The new object with the managers it had, unless the change was about them."""
    given = new["metadata"].get("managedFields")
    if given == [{}]:
        given = []
    elif not given:
        given = old["metadata"].get("managedFields") or []
    return {**new, "metadata": {**new["metadata"], "managedFields": given}}


def _is_over(body: Json) -> bool:
    """Whether nothing keeps a deleted object any more."""
    metadata = body["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if body["kind"] == "Namespace" and body["apiVersion"] == "v1":
        return not (body.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _ordered(body: Json) -> Json:
    """Kind and version first, as the server writes them; empty managedFields left out."""
    if not body["metadata"].get("managedFields"):
        body["metadata"].pop("managedFields", None)
    first: dict[str, Any] = {
        "kind": body["kind"],
        "apiVersion": body["apiVersion"],
        "metadata": body["metadata"],
    }
    return first | body


def made_up(length: int) -> str:
    """The end of a made-up name."""
    return "".join(random.choices(_LETTERS, k=length))
