"""Which change is whose business: tells the controllers what to look at, and runs what happens by the clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from sandbox.kubernetes.access import Access
from sandbox.kubernetes.controllers import (
    daemonsets,
    deployments,
    garbage,
    housekeeping,
    jobs,
    replicasets,
    scheduler,
    statefulsets,
)
from sandbox.kubernetes.controllers.work import PODS, Work, controller_of, is_going
from sandbox.kubernetes.operations import Operations
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Change, Stored

_SETS = ("apps", "daemonsets")
_HOUSEKEEPING_SECONDS = 30.0
_EVICTION_SECONDS = 2.0


class Controllers:
    """All controllers of one cluster."""

    def __init__(self, operations: Operations, access: Access, *, authority: bytes) -> None:
        self.work = Work(operations)
        self._access = access
        self._authority = authority
        self._timers: set[asyncio.TimerHandle] = set()
        self.work.reconcilers = {
            PODS: scheduler.reconcile,
            ("apps", "deployments"): deployments.reconcile,
            ("apps", "replicasets"): replicasets.reconcile,
            ("apps", "statefulsets"): statefulsets.reconcile,
            _SETS: daemonsets.reconcile,
            jobs.JOBS: jobs.reconcile,
            ("batch", "cronjobs"): jobs.reconcile_cron,
            housekeeping.NAMESPACES: self._namespace,
            housekeeping.SECRETS: self._secret,
            housekeeping.DEFINITIONS: housekeeping.establish,
        }

    def start(self) -> None:
        """Furnishes the cluster and looks once at everything that there is."""
        self.work.store.listen(self._heard)
        housekeeping.furnish(self.work)
        for stored in list(self.work.store.everything()):
            self.work.ask(stored.key)
            if is_going(stored.body):
                garbage.after(self.work, Change(stored.version, "MODIFIED", stored, stored))
        self._later(_HOUSEKEEPING_SECONDS, self._clean)

    def stop(self) -> None:
        """Nothing happens any more."""
        self.work.stop()
        for timer in self._timers:
            timer.cancel()

    def drop_node(self, seconds: float) -> str:
        """Silences the node with the most pods for a while; its pods are replaced elsewhere. Returns its name."""
        nodes = self.work.store.all(scheduler.NODES)
        ready = [n for n in nodes if scheduler.is_node_ready(n.body)]
        if len(ready) < 2:
            raise Refused(409, "Conflict", "There are no two ready nodes: one must stay.")
        counts = Counter(p["spec"].get("nodeName") for p in self.work.store.bodies(PODS))
        node = max(ready, key=lambda n: counts[n.key[2]])
        before = node.body
        housekeeping.silence(self.work, node, silent=True)
        self._later(_EVICTION_SECONDS, lambda: self._evict(node.key[2]))
        self._later(seconds, lambda: housekeeping.silence(self.work, node, silent=False, before=before))
        return node.key[2]

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            work()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)

    def _evict(self, node: str) -> None:
        for pod in self.work.store.all(PODS):
            if (
                pod.body["spec"].get("nodeName") == node
                and controller_of(pod.body).get("kind") != "DaemonSet"
            ):
                self.work.delete(pod)

    def _clean(self) -> None:
        garbage.forget_events(self.work)
        garbage.evict_lost_pods(self.work)
        self._later(_HOUSEKEEPING_SECONDS, self._clean)

    def _namespace(self, work: Work, stored: Stored) -> None:
        garbage.drain(work, stored)
        if current := work.store.get(*stored.key):
            housekeeping.furnish_namespace(work, current, self._authority)

    def _secret(self, work: Work, stored: Stored) -> None:
        housekeeping.fill_token(work, stored, self._access, self._authority)

    # --- who is to look --------------------------------------------------------------------------------------------

    def _heard(self, change: Change) -> None:
        """Called for every change, in the middle of it: only notes what to look at."""
        key, body = change.now.key, change.now.body
        if key[0] == garbage.EVENTS or key[0] == ("coordination.k8s.io", "leases"):
            return
        if change.kind != "DELETED":
            self.work.ask(key)
        elif key[0] == housekeeping.DEFINITIONS:
            self.work.kinds.forget(body)
        self._tell_owner(change)
        if key[0] == PODS and (change.kind == "DELETED" or _ended(change)):
            self._room_again()
        elif key[0] == scheduler.NODES:
            self._nodes_changed(change)
        elif key[0] == housekeeping.ACCOUNTS and change.kind == "DELETED":
            self._account_gone(key[1])
        elif key[0] == ("", "persistentvolumeclaims"):
            self._room_again()
        if (
            change.kind == "DELETED"
            or is_going(body)
            or (change.kind == "ADDED" and body["metadata"].get("ownerReferences"))
        ):
            self._sweep_soon(change)

    def _tell_owner(self, change: Change) -> None:
        for body in (change.now.body, change.before.body if change.before else change.now.body):
            reference = controller_of(body)
            kind = (
                self.work.kinds.of_object(reference["apiVersion"], reference["kind"]) if reference else None
            )
            if kind is not None:
                self.work.ask((kind.key, change.now.key[1], reference["name"]))

    def _sweep_soon(self, change: Change) -> None:
        """Garbage is looked for after the change, not in the middle of it."""
        asyncio.get_running_loop().call_soon(self._sweep, change)

    def _sweep(self, change: Change) -> None:
        if self.work.stopped:
            return
        if change.kind == "ADDED":
            if current := self.work.store.get(*change.now.key):
                garbage.check(self.work, current)
        else:
            garbage.after(self.work, change)

    def _room_again(self) -> None:
        for pod in scheduler.waiting(self.work):
            self.work.ask(pod.key)

    def _nodes_changed(self, change: Change) -> None:
        before, now = change.before, change.now
        if before is not None and change.kind == "MODIFIED":
            was, is_ready = (scheduler.is_node_ready(s.body) for s in (before, now))
            if was == is_ready and before.body["spec"] == now.body["spec"]:
                return  # a heartbeat
        self._room_again()
        for stored in self.work.store.all(_SETS):
            self.work.ask(stored.key)

    def _account_gone(self, namespace: str) -> None:
        self.work.ask((housekeeping.NAMESPACES, "", namespace))
        for secret in self.work.store.all(housekeeping.SECRETS, namespace):
            self.work.ask(secret.key)


def _ended(change: Change) -> bool:
    """Whether a pod has just freed its place."""
    phase = (change.now.body.get("status") or {}).get("phase")
    before = ((change.before.body.get("status") or {}) if change.before else {}).get("phase")
    return phase != before and phase in ("Succeeded", "Failed")
