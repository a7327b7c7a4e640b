"""Garbage: what owners leave behind, foreground and orphaning deletions, namespaces that drain, old events."""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.clock import since
from sandbox.kubernetes.controllers.work import PODS, Work, is_going
from sandbox.kubernetes.store import Change, Stored, clone

_EVENT_SECONDS = 3600.0
NAMESPACES = ("", "namespaces")
EVENTS = ("", "events")


def after(work: Work, change: Change) -> None:
    """What a change means for others: called for each."""
    body = change.now.body
    finalizers = body["metadata"].get("finalizers") or []
    if change.kind == "DELETED":
        for owned in work.store.owned_by(body["metadata"]["uid"]):
            _collect(work, owned)
        _owners_wait(work, body)
        _namespace_waits(work, change.now)
    elif is_going(body):
        if "orphan" in finalizers:
            _orphan(work, change.now)
        elif "foregroundDeletion" in finalizers:
            _delete_owned_first(work, change.now)
    if change.kind == "MODIFIED" and is_going(body):
        _namespace_waits(work, change.now)


def _lives(work: Work, reference: Json, namespace: str) -> bool:
    """Whether an owner is there, and not about to go after what it owns."""
    kind = work.kinds.of_object(reference["apiVersion"], reference["kind"])
    if kind is None:
        return True  # unknown kinds are left alone
    owner = work.store.get(kind.key, namespace if kind.namespaced else "", reference["name"])
    if owner is None or owner.body["metadata"]["uid"] != reference["uid"]:
        return False
    going = is_going(owner.body) and "foregroundDeletion" in (owner.body["metadata"].get("finalizers") or [])
    return not going


def _collect(work: Work, stored: Stored) -> None:
    """Deletes an object none of whose owners live; takes dead owners out of the others."""
    current = work.store.get(*stored.key)
    if current is None:
        return
    owners = current.body["metadata"].get("ownerReferences") or []
    living = [r for r in owners if _lives(work, r, stored.key[1])]
    if not living:
        if not is_going(current.body):
            work.delete(current)
    elif len(living) < len(owners):
        _put_metadata(work, current, ownerReferences=living)


def check(work: Work, stored: Stored) -> None:
    """An object that appears with owners which have never been."""
    if stored.body["metadata"].get("ownerReferences"):
        _collect(work, stored)


def _put_metadata(work: Work, stored: Stored, **changes: object) -> None:
    metadata = {k: v for k, v in {**stored.body["metadata"], **changes}.items() if v != []}
    kind = work.kinds.get(*stored.key[0])
    put = work.store.put(kind, {**stored.body, "metadata": metadata})
    if (
        is_going(put.body)
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    ):
        work.store.remove(put)


def _without_finalizer(work: Work, stored: Stored, name: str) -> None:
    kept = [f for f in stored.body["metadata"].get("finalizers") or [] if f != name]
    _put_metadata(work, stored, finalizers=kept)


def _orphan(work: Work, stored: Stored) -> None:
    uid = stored.body["metadata"]["uid"]
    for owned in work.store.owned_by(uid):
        owners = [r for r in owned.body["metadata"]["ownerReferences"] if r["uid"] != uid]
        _put_metadata(work, owned, ownerReferences=owners)
    if current := work.store.get(*stored.key):
        _without_finalizer(work, current, "orphan")


def _delete_owned_first(work: Work, stored: Stored) -> None:
    """Deletes what is owned; the owner goes when nothing that blocks it is left."""
    uid = stored.body["metadata"]["uid"]
    for owned in work.store.owned_by(uid):
        if not is_going(owned.body):
            others = [r for r in owned.body["metadata"]["ownerReferences"] if r["uid"] != uid]
            if not any(_lives(work, r, owned.key[1]) for r in others):
                work.delete(owned, "Foreground")
    _finish_foreground(work, uid, stored.key)


def _finish_foreground(work: Work, uid: str, key: tuple[tuple[str, str], str, str]) -> None:
    blocking = [
        owned
        for owned in work.store.owned_by(uid)
        if any(
            r["uid"] == uid and r.get("blockOwnerDeletion") for r in owned.body["metadata"]["ownerReferences"]
        )
    ]
    current = work.store.get(*key)
    if (
        not blocking
        and current
        and "foregroundDeletion" in (current.body["metadata"].get("finalizers") or [])
    ):
        _without_finalizer(work, current, "foregroundDeletion")


def _owners_wait(work: Work, body: Json) -> None:
    """Owners in foreground deletion may go when the last thing they own has gone."""
    for reference in body["metadata"].get("ownerReferences") or []:
        kind = work.kinds.of_object(reference["apiVersion"], reference["kind"])
        if kind is not None:
            namespace = body["metadata"].get("namespace", "") if kind.namespaced else ""
            _finish_foreground(work, reference["uid"], (kind.key, namespace, reference["name"]))


def _namespace_waits(work: Work, stored: Stored) -> None:
    if stored.key[1] and (home := work.store.get(NAMESPACES, "", stored.key[1])) and is_going(home.body):
        work.ask(home.key)


def drain(work: Work, stored: Stored) -> None:
    """One look at a namespace: one that is to go loses all its content first."""
    if not is_going(stored.body):
        return
    content = work.store.in_namespace(stored.key[2])
    for found in content:
        if not is_going(found.body):
            work.delete(found)
    left = work.store.in_namespace(stored.key[2])
    if left:
        _say_what_is_left(work, stored, left)
        return
    current = work.store.get(*stored.key)
    if current is None:
        return
    body = clone(current.body)
    body["spec"] = {**(body.get("spec") or {}), "finalizers": []}
    put = work.store.put(work.kinds.core("namespaces"), body)
    if not body["metadata"].get("finalizers"):
        work.store.remove(put)


def _say_what_is_left(work: Work, stored: Stored, left: list[Stored]) -> None:
    """The condition that tells people why a namespace does not go."""
    held = [s for s in left if s.body["metadata"].get("finalizers")]
    if not held:
        return
    finalizers = sorted({f for s in held for f in s.body["metadata"]["finalizers"]})
    counts = ", ".join(
        f"{f} in {sum(f in s.body['metadata']['finalizers'] for s in held)} resource instances"
        for f in finalizers
    )
    entry = {
        "type": "NamespaceFinalizersRemaining",
        "status": "True",
        "reason": "SomeFinalizersRemain",
        "message": f"Some content in the namespace has finalizers remaining: {counts}",
        "lastTransitionTime": stored.body["metadata"]["deletionTimestamp"],
    }
    work.operations.set_status(
        work.kinds.core("namespaces"), stored, {"phase": "Terminating", "conditions": [entry]}
    )


def forget_events(work: Work) -> None:
    """Events live for an hour."""
    for stored in work.store.all(EVENTS):
        body = stored.body
        last = body.get("lastTimestamp") or body.get("eventTime") or body["metadata"]["creationTimestamp"]
        if since(last) > _EVENT_SECONDS:
            work.store.remove(stored)


def evict_lost_pods(work: Work) -> None:
    """Pods of nodes that no longer exist go at once, as pod garbage collection does after a while."""
    nodes = {n.key[2] for n in work.store.all(("", "nodes"))}
    for pod in work.store.all(PODS):
        node = pod.body["spec"].get("nodeName")
        if node and node not in nodes:
            work.store.remove(pod)
