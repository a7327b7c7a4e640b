"""Which change is whose business: tells the controllers what to look at, and runs what happens by the clock."""

from __future__ import annotations

from sandbox.kubernetes.access import Access
from sandbox.kubernetes.controllers import deployments, garbage, housekeeping, jobs, keys, scheduler, sets
from sandbox.kubernetes.controllers.bodies import is_active, is_going
from sandbox.kubernetes.controllers.work import Look, Work
from sandbox.kubernetes.operations import Operations
from sandbox.kubernetes.store import Change, KindKey, Stored

_LOOKS: dict[KindKey, Look] = {
    keys.PODS: scheduler.schedule,
    keys.DEPLOYMENTS: deployments.roll_out,
    keys.REPLICA_SETS: sets.replica_set,
    keys.STATEFUL_SETS: sets.stateful_set,
    keys.DAEMON_SETS: sets.daemon_set,
    keys.JOBS: jobs.run,
    keys.CRON_JOBS: jobs.start_on_time,
    keys.NAMESPACES: housekeeping.furnish_namespace,
    keys.SECRETS: housekeeping.fill_token,
    keys.DEFINITIONS: housekeeping.establish,
}
_LAST_LOOKS: dict[KindKey, Look] = {  # at objects that are to go
    keys.NAMESPACES: garbage.drain_namespace,
    keys.DEFINITIONS: garbage.drain_definition,
}
_CONCERNS: dict[KindKey, tuple[KindKey, ...]] = {  # a change of one concerns all of those
    keys.NODES: (keys.PODS, keys.DAEMON_SETS),
    keys.CLAIMS: (keys.PODS,),
    keys.ACCOUNTS: (keys.SECRETS,),
}
_UNHEARD = (keys.EVENTS, keys.LEASES)


class Controllers:
    """All controllers of one cluster."""

    def __init__(self, operations: Operations, access: Access, *, authority: bytes) -> None:
        self.work = Work(operations, access, authority, _look)
        self.stop = self.work.stop

    def start(self) -> None:
        """Furnishes the cluster and looks once at everything that there is."""
        self.work.store.listen(self._heard)
        housekeeping.furnish(self.work)
        for stored in self.work.store.everything():
            if stored.key[0] not in _UNHEARD:
                self.work.ask(stored.key)
        garbage.sweep(self.work)

    def drop_node(self, seconds: float) -> str:
        """Silences a node for a while. Returns its name; raises Refused (409)."""
        return housekeeping.drop_node(self.work, seconds)

    def _heard(self, change: Change) -> None:
        """Called for every change, in the middle of it: only notes what to look at."""
        work, now = self.work, change.now
        kind, namespace, _ = now.key
        if kind in _UNHEARD:
            return
        work.ask(now.key)
        for body in (now.body, change.before.body if change.before else now.body):
            for reference in body["metadata"].get("ownerReferences") or []:
                if owner := work.kinds.of_object(reference["apiVersion"], reference["kind"]):
                    work.ask((owner.key, namespace if owner.namespaced else "", reference["name"]))
        for concerned in _CONCERNS.get(kind, ()):
            for stored in work.store.all(concerned, namespace):
                work.ask(stored.key)
        gone = change.kind == "DELETED"
        if gone or is_going(now.body):
            work.ask((keys.NAMESPACES, "", namespace))
        if gone:
            for owned in work.store.owned_by(now.body["metadata"]["uid"]):
                work.ask(owned.key)
        if gone and kind == keys.DEFINITIONS:
            work.kinds.forget(now.body)
        if kind == keys.PODS and (gone or not is_active(now.body)):
            self._room_again()

    def _room_again(self) -> None:
        """A pod makes room: those that wait for a node may get one."""
        for pod in self.work.store.bodies(keys.PODS):
            if not pod["spec"].get("nodeName"):
                self.work.ask((keys.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"]))


def _look(work: Work, stored: Stored) -> None:
    """One look at one object."""
    garbage.collect(work, stored)
    if current := work.store.get(*stored.key):
        looks = _LAST_LOOKS if is_going(current.body) else _LOOKS
        if look := looks.get(current.key[0]):
            look(work, current)
