"""The controllers. Each looks at one object in its present state and does the next step.

The tables map kinds to their controllers, and changes of one kind to the other kinds that they concern.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.kubernetes.controllers import deployments, housekeeping, jobs, keys, pod_sets, scheduler
from sandbox.kubernetes.controllers.bodies import is_going, is_over
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.store import Change, KindKey, Stored

Look = Callable[[Work, Stored], None]
_LOOKS: dict[KindKey, Look] = {
    keys.PODS: scheduler.schedule,
    keys.DEPLOYMENTS: deployments.roll_out,
    keys.REPLICA_SETS: pod_sets.replica_set,
    keys.STATEFUL_SETS: pod_sets.stateful_set,
    keys.DAEMON_SETS: pod_sets.daemon_set,
    keys.JOBS: jobs.run,
    keys.CRON_JOBS: jobs.start_on_time,
    keys.NAMESPACES: housekeeping.furnish_namespace,
    keys.SECRETS: housekeeping.fill_token,
    keys.DEFINITIONS: housekeeping.establish,
    keys.API_SERVICES: housekeeping.look_for_service,
}
_LAST_LOOKS: dict[KindKey, Look] = {  # at objects that are to go
    keys.NAMESPACES: housekeeping.drain_namespace,
    keys.DEFINITIONS: housekeeping.drain_definition,
}
_CONCERNS: dict[KindKey, tuple[KindKey, ...]] = {  # a change of one concerns all of those
    keys.NODES: (keys.PODS, keys.DAEMON_SETS),
    keys.CLAIMS: (keys.PODS,),
    keys.ACCOUNTS: (keys.SECRETS,),
    keys.SERVICES: (keys.API_SERVICES,),
}
_UNHEARD = (keys.EVENTS, keys.LEASES)


class Controllers(Work):
    """All controllers of one cluster."""

    def start(self) -> None:
        """Furnishes the cluster and looks once at everything that there is."""
        self.store.listen(self._heard)
        housekeeping.furnish(self)
        for stored in self.store.everything():
            if stored.key[0] not in _UNHEARD:
                self.ask(stored.key)
        housekeeping.sweep(self)

    def drop_node(self, seconds: float) -> str:
        """Silences a node for a while. Returns its name; raises Refused (409)."""
        return housekeeping.drop_node(self, seconds)

    def look(self, stored: Stored) -> None:
        """One look at one object: collects it as garbage, or does its controller's next step."""
        housekeeping.collect(self, stored)
        if current := self.store.get(*stored.key):
            looks = _LAST_LOOKS if is_going(current.body) else _LOOKS
            if look := looks.get(current.key[0]):
                look(self, current)

    def _heard(self, change: Change) -> None:
        """Called during every change: notes the objects to look at, and does nothing else."""
        (kind, namespace, _), now, gone = change.now.key, change.now.body, change.kind == "DELETED"
        if kind in _UNHEARD:
            return
        self.ask(change.now.key)
        for body in (now, change.before.body if change.before else now):
            for reference in body["metadata"].get("ownerReferences") or []:
                if owner := self.kinds.of_object(reference["apiVersion"], reference["kind"]):
                    self.ask((owner.key, namespace if owner.namespaced else "", reference["name"]))
        others = [s for concerned in _CONCERNS.get(kind, ()) for s in self.store.all(concerned, namespace)]
        if gone:
            others += self.store.owned_by(now["metadata"]["uid"])
        if kind == keys.PODS and (gone or is_over(now)):  # makes room for those that wait
            others += [p for p in self.store.all(keys.PODS) if not p.body["spec"].get("nodeName")]
        for stored in others:
            self.ask(stored.key)
        if gone or is_going(now):
            self.ask((keys.NAMESPACES, "", namespace))
        if gone and kind == keys.DEFINITIONS:
            self.kinds.forget(now)
