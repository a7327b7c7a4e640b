"""Watches over the objects of a rollout: applies the rules of engine/health/objects.py and engine/health/pods.py over
time.

The rules know no clock; here each trouble's age is kept, each object's timeout, and whether a rollout still
grows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from engine.cluster.apply import Applied
from engine.cluster.feed import World
from engine.health.containers import Trouble
from engine.health.objects import (
    Judgement,
    crash_of_many,
    current_pods,
    decisive,
    failed,
    judge,
    ready,
    waiting,
)
from engine.health.pods import condition, is_ready, troubles_of
from engine.limits import Limits, timeout_of
from engine.types import Action, Json, Manifest, ObjectRef, Progress

_SCALING = {"TriggeredScaleUp", "ScaleUp", "ScalingUp", "Nominated"}
_ENDED = (Progress.READY, Progress.FAILED)


@dataclass
class Target:
    """One object that is waited for."""

    applied: Applied
    started: float
    timeout: float
    last: Judgement | None = None
    most_ready: int = 0
    grew: float = 0.0
    troubles: dict[tuple[str, str, str], float] = field(default_factory=dict)  # first seen
    warned: set[tuple[str, str, str]] = field(default_factory=set)
    pods: list[Json] = field(default_factory=list)  # of the last judgement

    @property
    def ref(self) -> ObjectRef:
        return self.applied.manifest.ref

    @property
    def manifest(self) -> Manifest:
        return self.applied.manifest


class Verdicts:
    """The targets of a rollout and what is to be said of each now."""

    def __init__(self, world: World, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._world = world
        self._limits = limits
        self._clock = clock
        self._pods: dict[str, list[Json]] = {}
        self._replica_sets: dict[str, list[Json]] = {}
        self._events: dict[str, list[Json]] = {}
        self.targets: dict[ObjectRef, Target] = {}
        self.fresh: set[tuple[str, str]] = (
            set()
        )  # kind and name of Secrets and ConfigMaps that this deploy wrote
        self.warnings: list[str] = []  # to be taken out by whoever tells them

    def add(self, applied: Applied) -> None:
        """Wait for one more object, from now on."""
        now = self._clock()
        target = Target(applied, now, timeout_of(applied.manifest, self._limits), grew=now)
        self.targets[target.ref] = target

    def judge_all(self, refs: Iterable[ObjectRef]) -> dict[ObjectRef, Judgement]:
        """What is to be said of these targets now."""
        self._index()
        found = {}
        for ref in refs:
            target = self.targets[ref]
            target.last = self._judge(target)
            found[ref] = target.last
        return found

    def _index(self) -> None:
        """Pods and ReplicaSets by their owner, events by what they are about: once per round, not per target."""
        self._pods, self._replica_sets, self._events = {}, {}, {}
        by_kind = {"Pod": self._pods, "ReplicaSet": self._replica_sets}
        for ref, body in self._world.objects.items():
            if ref.kind == "Event":
                uid = (body.get("involvedObject") or {}).get("uid") or ""
                self._events.setdefault(uid, []).append(body)
            elif ref.kind in by_kind:
                for owner in body["metadata"].get("ownerReferences") or []:
                    by_kind[ref.kind].setdefault(owner.get("uid") or "", []).append(body)

    def _judge(self, target: Target) -> Judgement:
        body = self._world.objects.get(target.ref)
        if body is None or not _is_same(body, target):
            return self._judge_missing(target)
        judgement = judge(target.ref.kind, body, target.applied.generation)
        if judgement.progress == Progress.READY:
            return judgement
        judgement = self._judge_pods(target, body, judgement)
        if judgement.progress in _ENDED or self._clock() - target.started < target.timeout:
            return judgement
        words = f"{judgement.sentence} after {target.timeout:.0f} seconds"
        return Judgement(Progress.TIMED_OUT, words, _LATE_HINT, judgement.trouble)

    def _judge_missing(self, target: Target) -> Judgement:
        """A Job may be collected as soon as it is complete; anything else should stay."""
        last = self._world.gone.get(target.ref)
        if last is None or not _is_same(last, target):
            if self._clock() - target.started < target.timeout:
                return waiting("waiting for the cluster to show it")
            words = f"the cluster did not show it within {target.timeout:.0f} seconds"
            return Judgement(Progress.TIMED_OUT, words, "Is something deleting it at once?")
        if target.ref.kind == "Job":
            metadata = {key: value for key, value in last["metadata"].items() if key != "deletionTimestamp"}
            judgement = judge("Job", {**last, "metadata": metadata}, target.applied.generation)
            if judgement.progress == Progress.FAILED:
                return judgement
            if (
                judgement.progress == Progress.READY
                or condition(last, "SuccessCriteriaMet").get("status") == "True"
            ):
                return ready("completed, and collected")
        return failed(
            "was deleted by somebody else during the deploy", "Find out who deletes it, then deploy again."
        )

    def _judge_pods(self, target: Target, body: Json, judgement: Judgement) -> Judgement:
        target.pods = self._pods_of(target, body)
        troubles = self._troubles(target)
        doomed = self._doomed(target, troubles)
        worst = min(troubles, key=lambda trouble: trouble.grace, default=None)
        if judgement.progress == Progress.FAILED:
            words = f"{judgement.sentence}: {worst.sentence}" if worst else judgement.sentence
            hint = worst.hint if worst and worst.hint else judgement.hint
            return Judgement(Progress.FAILED, words, hint, worst)
        decided = decisive(target.ref.kind, target.pods, doomed, stuck=self._is_stuck(target, doomed))
        if decided:
            return failed(decided.sentence, decided.hint, decided)
        if worst:
            return Judgement(judgement.progress, f"{judgement.sentence}; {worst.sentence}", "", worst)
        return judgement

    def _pods_of(self, target: Target, body: Json) -> list[Json]:
        uid = body["metadata"].get("uid") or ""
        sets = self._replica_sets.get(uid, [])
        owners = [item["metadata"]["uid"] for item in sets] if target.ref.kind == "Deployment" else [uid]
        pods = [pod for owner in owners for pod in self._pods.get(owner, [])]
        return current_pods(target.ref.kind, body, pods, sets)

    def _troubles(self, target: Target) -> list[Trouble]:
        found = []
        for pod in target.pods:
            events = self._events.get(pod["metadata"].get("uid") or "", [])
            scaling = any(event.get("reason") in _SCALING for event in events)
            found += troubles_of(pod, events, limits=self._limits, fresh=self.fresh, autoscaler=scaling)
        if target.ref.kind == "Job":  # a Job counts its failed pods itself
            return [trouble for trouble in found if trouble.topic not in ("crash", "failed")]
        return found

    def _doomed(self, target: Target, troubles: Sequence[Trouble]) -> list[Trouble]:
        """Those whose grace is over. Ages start again when a trouble went away meanwhile."""
        now = self._clock()
        target.troubles = {t.key: target.troubles.get(t.key, now) for t in troubles}
        crashing = crash_of_many(troubles)
        doomed = []
        for trouble in troubles:
            age = now - target.troubles[trouble.key]
            grace = 0.0 if trouble.topic == "crash" and trouble.container in crashing else trouble.grace
            if age >= grace:
                doomed.append(trouble)
            elif age >= trouble.warn_after and trouble.key not in target.warned:
                target.warned.add(trouble.key)
                self.warnings.append(f"{target.ref.name}: {trouble.sentence}")
        return doomed

    def _is_stuck(self, target: Target, doomed: Sequence[Trouble]) -> bool:
        """Whether a doomed pod has been there for a while without the others getting anywhere."""
        now = self._clock()
        now_ready = sum(1 for pod in target.pods if is_ready(pod))
        if now_ready > target.most_ready:
            target.most_ready, target.grew = now_ready, now
        if not doomed:
            return False
        since = max([target.grew, *(target.troubles[t.key] + t.grace for t in doomed)])
        return now - since >= self._limits.quorum


_LATE_HINT = (
    "Look at the pods' log and events. If it only needs longer, raise the annotation slipway.dev/timeout."
)


def _is_same(body: Json, target: Target) -> bool:
    """Whether it is the object that was applied, and not another one of its name."""
    return not target.applied.uid or body["metadata"].get("uid") == target.applied.uid


def is_waited_for(applied: Applied) -> bool:
    """Whether a rollout waits for this kind. Load balancers count only when they are new: an old one keeps its
    address."""
    kind, group = applied.manifest.ref.kind, applied.manifest.ref.group
    if kind == "Service" and group == "":
        spec = applied.manifest.body.get("spec") or {}
        return spec.get("type") == "LoadBalancer" and applied.action == Action.CREATE
    return (group, kind) in WAITED_FOR


WAITED_FOR = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("", "Pod"),
    }
)
