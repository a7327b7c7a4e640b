"""Garbage: what owners leave behind, foreground and orphaning deletions, what drains before it goes, old events."""

from __future__ import annotations

import asyncio

from engine.types import Json
from sandbox.kubernetes.admission import CLEANUP
from sandbox.kubernetes.clock import since
from sandbox.kubernetes.controllers import keys
from sandbox.kubernetes.controllers.bodies import is_going
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.kinds import kinds_of
from sandbox.kubernetes.store import Stored

_EVENT_SECONDS = 3600.0
_SWEEP_SECONDS = 30.0


def collect(work: Work, stored: Stored) -> None:
    """One look at any object: does it go after its owners, or wait for what it owns?"""
    owners = stored.body["metadata"].get("ownerReferences") or []
    if is_going(stored.body):
        _let_go(work, stored)
    elif owners:
        states = [_state(work, r, stored.key[1]) for r in owners]
        living = [r for r, state in zip(owners, states, strict=True) if state == "lives"]
        if not living:
            work.delete(stored, "Foreground" if "waits" in states else "Background")
        elif len(living) < len(owners):
            work.change(stored, metadata={"ownerReferences": living})


def _state(work: Work, reference: Json, namespace: str) -> str:
    """Of an owner: "lives", "gone", or "waits" for what it owns to go first. Unknown kinds are taken to live."""
    kind = work.kinds.of_object(reference["apiVersion"], reference["kind"])
    if kind is None:
        return "lives"
    owner = work.store.get(kind.key, namespace if kind.namespaced else "", reference["name"])
    if owner is None or owner.body["metadata"]["uid"] != reference["uid"]:
        return "gone"
    waits = is_going(owner.body) and "foregroundDeletion" in _finalizers(owner)
    return "waits" if waits else "lives"


def _finalizers(stored: Stored) -> list[str]:
    return stored.body["metadata"].get("finalizers") or []


def _let_go(work: Work, stored: Stored) -> None:
    """Of an object that is to go: what it owns is left alone ("orphan"), or goes before it ("foregroundDeletion")."""
    uid, finalizers = stored.body["metadata"]["uid"], _finalizers(stored)
    owned = work.store.owned_by(uid)
    if "orphan" in finalizers:
        for other in owned:
            left = [r for r in other.body["metadata"]["ownerReferences"] if r["uid"] != uid]
            work.change(other, metadata={"ownerReferences": left})
        _without(work, stored, "orphan")
    elif "foregroundDeletion" in finalizers:
        for other in owned:
            work.ask(other.key)
        references = [r for other in owned for r in other.body["metadata"]["ownerReferences"]]
        if not any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in references):
            _without(work, stored, "foregroundDeletion")


def _without(work: Work, stored: Stored, finalizer: str) -> None:
    kept = [f for f in _finalizers(stored) if f != finalizer]
    work.change(stored, metadata={"finalizers": kept})


def _delete_all(work: Work, found: list[Stored]) -> list[Stored]:
    """Deletes them; returns those that finalizers or a grace period keep."""
    for stored in found:
        if not is_going(stored.body):
            work.delete(stored)
    return [left for stored in found if (left := work.store.get(*stored.key))]


def drain_namespace(work: Work, stored: Stored) -> None:
    """One look at a namespace that is to go: it loses all its content first, and says what does not go."""
    left = _delete_all(work, work.store.in_namespace(stored.key[2]))
    if held := sorted({finalizer for s in left for finalizer in _finalizers(s)}):
        words = f"Some content in the namespace has finalizers remaining: {', '.join(held)}"
        kept = {"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain"}
        work.report(stored, {"phase": "Terminating"}, {**kept, "message": words})
    if not left:
        work.change(stored, spec={"finalizers": []})


def drain_definition(work: Work, stored: Stored) -> None:
    """One look at a CustomResourceDefinition that is to go: its objects go first."""
    kind = next(kinds_of(stored.body), None)
    if kind and _delete_all(work, work.store.all(kind.key)):
        work.ask_in(stored.key, 0.3)
    else:
        _without(work, stored, CLEANUP)


def sweep(work: Work) -> None:
    """Every while: events live for an hour; pods of nodes that no longer exist go at once."""
    for stored in work.store.all(keys.EVENTS):
        body = stored.body
        last = body.get("lastTimestamp") or body.get("eventTime") or body["metadata"]["creationTimestamp"]
        if since(last) > _EVENT_SECONDS:
            work.store.remove(stored)
    nodes = {n.key[2] for n in work.store.all(keys.NODES)}
    for pod in work.store.all(keys.PODS):
        if pod.body["spec"].get("nodeName", "") not in {"", *nodes}:
            work.store.remove(pod)
    asyncio.get_running_loop().call_later(_SWEEP_SECONDS, sweep, work)
