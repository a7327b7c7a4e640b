"""Watches over the objects of a rollout: applies the rules of engine/health over time.

The rules know no clock; here each trouble's age is kept, each object's timeout, since when its pods are ready, and
whether a rollout still grows. docs/engine.md says why the rules are as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from engine.cluster.apply import Applied
from engine.cluster.feed import World
from engine.health.creation import refused_pods
from engine.health.events import age_of, event_time
from engine.health.objects import Judgement, current_pods, failed, is_observed, judge, waiting
from engine.health.pods import failed_by_its_node, is_ready, troubles_of
from engine.health.quorum import crash_of_many, decisive, rank
from engine.health.trouble import NEVER, Trouble
from engine.limits import Limits, timeout_of
from engine.manifests.settling import settle_reason, settle_time
from engine.rollout.deadlines import deadlines_over, without_old_deadline
from engine.rollout.readiness import Readiness, Seen
from engine.rollout.refusals import Refused, judge_refusal
from engine.rollout.revisions import judge_blocked, with_old_pods
from engine.rollout.targets import Target, extra_time, replaces_pods, wanted_pods
from engine.rollout.tries import judge_tries
from engine.rollout.vanished import is_same, judge_vanished
from engine.rollout.waits import Graces, next_try, old_troubles
from engine.types import Json, ObjectRef, Progress

_ENDED = (Progress.READY, Progress.FAILED)
_OLD_EVENT = 120.0  # seconds; older events about an object are of an earlier rollout


class Verdicts:
    """The targets of a rollout and what is to be said of each now."""

    def __init__(
        self,
        world: World,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: for all waiting; `wall`: to compare with times that the cluster wrote, where nothing else tells."""
        self._world = world
        self._limits = limits
        self._clock = clock
        self._wall = wall
        self._readiness = Readiness(clock, wall)
        self._pods: dict[str, list[Json]] = {}
        self._replica_sets: dict[str, list[Json]] = {}
        self.events: dict[str, list[Json]] = {}
        self._old_deadlines: dict[str, str] = {}
        self.targets: dict[ObjectRef, Target] = {}
        # Grace in seconds by kind and name of Secrets and ConfigMaps that this deploy has just written, or that a
        # controller is about to make.
        self.fresh: dict[tuple[str, str], float] = {}
        self.notes: list[str] = []  # lines for the log, to be taken out by whoever tells them

    def remember(self) -> None:
        """Take note of the pods, and of the deadlines that are over, before the first write."""
        self._readiness.remember(body for ref, body in self._world.objects.items() if ref.kind == "Pod")
        self._old_deadlines = deadlines_over(self._world.objects.values())

    def add(self, applied: Applied, deadline: float = float("inf")) -> None:
        """Wait for one more object, from now on. `deadline`: when the deploy's time is over."""
        now = self._clock()
        timeout = timeout_of(applied.manifest, self._limits)
        settle = settle_time(applied.manifest.body, self._limits.settle)
        target = Target(applied, now, timeout, settle, min(now + timeout, deadline), grew=now)
        shown = self._world.objects.get(target.ref)
        if shown:  # a deadline may have passed since the first look
            self._old_deadlines.update(deadlines_over([shown]))
        self.targets[target.ref] = target

    def judge_all(self, refs: Iterable[ObjectRef]) -> dict[ObjectRef, Judgement]:
        """What is to be said of these targets now."""
        self._index()
        found = {}
        for ref in refs:
            target = self.targets[ref]
            target.last = self._judge_again(target)
            found[ref] = target.last
        return found

    def _judge_again(self, target: Target) -> Judgement:
        """The judgement now. A failure is final: what is deleted afterwards has failed for its cause all the same."""
        pods, last = target.pods, target.last
        found = self._judge(target)
        had_failed = last is not None and last.progress == Progress.FAILED
        if last is None or not had_failed or (found.trouble and found.progress == Progress.FAILED):
            return found
        target.pods = pods
        return last

    def _index(self) -> None:
        """Pods and ReplicaSets by their owner, events by what they are about: once per round, not per target."""
        self._pods, self._replica_sets, self.events = {}, {}, {}
        by_kind = {"Pod": self._pods, "ReplicaSet": self._replica_sets}
        for ref, body in self._world.objects.items():
            if ref.kind == "Event":
                uid = (body.get("involvedObject") or {}).get("uid") or ""
                self.events.setdefault(uid, []).append(body)
            elif ref.kind in by_kind:
                for owner in body["metadata"].get("ownerReferences") or []:
                    by_kind[ref.kind].setdefault(owner.get("uid") or "", []).append(body)

    def _judge(self, target: Target) -> Judgement:
        body = self._world.objects.get(target.ref)
        if body is None or not is_same(body, target):
            gone = self._world.gone.get(target.ref)
            return judge_vanished(target, gone, now=self._clock())
        known = is_observed(target.ref.kind, body, target.applied.generation)
        if not known:  # what its status says is of the rollout before
            self._old_deadlines.update(deadlines_over([body]))
        judgement = judge(target.ref.kind, self._as_of_now(target, body), target.applied.generation)
        everyone = self._all_pods_of(target, body)
        target.pods = self._current(target, body, everyone) if known else []
        current = {id(pod) for pod in target.pods}
        others = [pod for pod in everyone if id(pod) not in current]
        judgement = with_old_pods(target, body, judgement, others)
        seen = {pod["metadata"]["name"]: self._readiness.look(pod, target.settle) for pod in target.pods}
        if judgement.progress == Progress.READY and self._has_settled(target, body, seen):
            return judgement
        if (by_status := judgement.progress) != Progress.FAILED:
            judgement = self._settling(target, judgement, seen)
        judgement = self._judge_pods(target, body, judgement, seen, others)
        if judgement.progress == Progress.PROGRESSING:
            now, patience = self._clock(), self._limits.quorum
            judgement = judge_blocked(
                target, body, judgement, others if known else [], self._of_one, now=now, patience=patience
            )
        allowed = target.timeout + extra_time(target.ref.kind, body)
        in_time = by_status == Progress.READY or self._clock() - target.started < allowed
        if judgement.progress in _ENDED or in_time:
            return judgement
        words = f"{judgement.sentence} after {allowed:.0f} seconds"
        hint = judgement.trouble.hint if judgement.trouble and judgement.trouble.hint else _LATE_HINT
        return Judgement(Progress.TIMED_OUT, words, hint, judgement.trouble)

    def _as_of_now(self, target: Target, body: Json) -> Json:
        """The object, without a deadline of an earlier rollout for as long as its pods may still heal."""
        if target.waits:
            self._old_deadlines.update(deadlines_over([body]))
        since = max(target.started, target.grew)
        if not target.waits and self._clock() - since >= self._limits.old_deadline:
            return body
        return without_old_deadline(body, self._old_deadlines)

    def _has_settled(self, target: Target, body: Json, seen: dict[str, Seen]) -> bool:
        """Whether what its own status calls ready has been so for long enough, pod by pod."""
        now = self._clock()
        target.ready_since = now if target.ready_since is None else target.ready_since
        if not target.settle or not replaces_pods(body) or not wanted_pods(target.ref.kind, body):
            return True
        counted = [seen[pod["metadata"]["name"]] for pod in target.pods if not failed_by_its_node(pod)]
        if not counted:  # their owner is not known (yet, or for want of a right): its own status must do
            return now - target.ready_since >= target.settle
        return all(one.settled for one in counted)

    def _settling(self, target: Target, judgement: Judgement, seen: dict[str, Seen]) -> Judgement:
        """The judgement while ready pods are watched."""
        if judgement.progress != Progress.READY:
            target.ready_since = None
        watched = [one for one in seen.values() if one.is_ready and not one.settled]
        if not target.settle or not (watched or judgement.progress == Progress.READY):
            return judgement
        why = f"{settle_reason(target.manifest.body)}: watched {target.settle:g} s more"
        self._note(target, why)
        return replace(waiting(f"{judgement.sentence}; {why}"), trouble=judgement.trouble)

    def _judge_pods(
        self,
        target: Target,
        body: Json,
        judgement: Judgement,
        seen: dict[str, Seen],
        others: Sequence[Json],
    ) -> Judgement:
        troubles = self._troubles(target, seen)
        doomed = self._doomed(target, troubles, seen)
        refused = self._refused(target, body, others)
        troubles += refused.troubles
        doomed += refused.troubles if refused.for_good else []
        worst = min(troubles, key=lambda trouble: (trouble.grace, rank(trouble)), default=None)
        if judgement.progress == Progress.FAILED:
            words = f"{judgement.sentence}: {worst.sentence}" if worst else judgement.sentence
            hint = worst.hint if worst and worst.hint else judgement.hint
            return Judgement(Progress.FAILED, words, hint, worst)
        if target.ref.kind == "Job" and judgement.progress == Progress.PROGRESSING:
            tries = judge_tries(target, body, judgement, now=self._clock(), age=self._wall_age)
            if tries:
                return tries
        decided = decisive(target.ref.kind, target.pods, doomed, stuck=self._is_stuck(target, doomed))
        if decided:
            return failed(decided.sentence, decided.hint, decided)
        if worst:
            return Judgement(judgement.progress, f"{judgement.sentence}; {worst.sentence}", "", worst)
        return judgement

    def _current(self, target: Target, body: Json, everyone: Sequence[Json]) -> list[Json]:
        sets = self._replica_sets.get(body["metadata"].get("uid") or "", [])
        return current_pods(target.ref.kind, body, everyone, sets)

    def _all_pods_of(self, target: Target, body: Json) -> list[Json]:
        uid = body["metadata"].get("uid") or ""
        sets = self._replica_sets.get(uid, [])
        owners = [item["metadata"]["uid"] for item in sets] if target.ref.kind == "Deployment" else [uid]
        return [pod for owner in owners for pod in self._pods.get(owner, [])]

    def _of_one(self, pod: Json) -> list[Trouble]:
        """The troubles of a pod that is not current."""
        events = sorted(self.events.get(pod["metadata"].get("uid") or "", []), key=event_time)
        return troubles_of(pod, events, limits=self._limits)

    def _troubles(self, target: Target, seen: dict[str, Seen]) -> list[Trouble]:
        found = []
        for pod in target.pods:
            metadata = pod["metadata"]
            events = sorted(self.events.get(metadata.get("uid") or "", []), key=event_time)
            found += troubles_of(
                pod,
                events,
                limits=self._limits,
                fresh=self.fresh,
                forgiven=seen[metadata["name"]].forgiven,
            )
        if target.ref.kind == "Job":  # a Job counts its failed pods itself
            return [trouble for trouble in found if trouble.topic not in ("crash", "failed")]
        return found

    def _doomed(self, target: Target, troubles: Sequence[Trouble], seen: dict[str, Seen]) -> list[Trouble]:
        """Those whose grace is over. Ages start again when a trouble went away meanwhile."""
        now = self._clock()
        target.troubles = {t.key: target.troubles.get(t.key, now) for t in troubles}
        old = self._old(target, troubles, seen)
        crashing = crash_of_many([t for t in troubles if t.key not in old], self._limits.crash_exits)
        doomed = []
        for trouble in troubles:
            crashes = trouble.topic == "crash" and trouble.container in crashing
            over = crashes or self._is_window_over(target, trouble, seen)
            grace = old.get(trouble.key, 0.0 if over else trouble.grace)
            if now - target.troubles[trouble.key] >= grace:
                doomed.append(trouble)
            if trouble.topic == "unschedulable":
                self._note(target, trouble.sentence)
        return doomed

    def _old(self, target: Target, troubles: Sequence[Trouble], seen: dict[str, Seen]) -> Graces:
        """For how long those may last that are from before the first write. Notes them in the log, and in the target."""
        old = old_troubles(troubles, {name: pod.waits for name, pod in seen.items()}, self._limits)
        for trouble in (trouble for trouble in troubles if trouble.key in old):
            self._note(target, f"{trouble.sentence}, as before this deploy; {next_try(trouble)}")
            if old[trouble.key] == NEVER:  # it runs: its pause begins when it has ended
                target.troubles[trouble.key] = self._clock()
        target.waits = bool(old)
        return old

    def _is_window_over(self, target: Target, trouble: Trouble, seen: dict[str, Seen]) -> bool:
        """Whether a container ended within the settle time of its pod, and that time has passed."""
        pod = seen.get(trouble.pod)
        if trouble.topic != "crash" or not target.settle or pod is None or pod.first_ready is None:
            return False
        return not pod.settled and self._clock() - pod.first_ready >= target.settle

    def _is_stuck(self, target: Target, doomed: Sequence[Trouble]) -> bool:
        """Whether a doomed pod has been there for a while without the others getting anywhere."""
        now = self._clock()
        now_ready = sum(1 for pod in target.pods if is_ready(pod))
        if now_ready > target.most_ready:
            target.most_ready, target.grew = now_ready, now
        if not doomed:
            return False
        known = [t for t in doomed if t.key in target.troubles]
        graces = [target.troubles[t.key] + (0.0 if t.grace == NEVER else t.grace) for t in known]
        return now - max([target.grew, *graces]) >= self._limits.quorum

    def _note(self, target: Target, words: str) -> None:
        """A line for the log, once."""
        if words not in target.told:
            target.told.add(words)
            self.notes.append(f"{target.ref.name}: {words}")

    def _refused(self, target: Target, body: Json, others: Sequence[Json]) -> Refused:
        uid = body["metadata"].get("uid") or ""
        events = [e for e in self.events.get(uid, []) if self._wall_age(event_time(e)) < _OLD_EVENT]
        message = refused_pods(target.ref.kind, body, sorted(events, key=event_time))
        return judge_refusal(target, body, message, others, now=self._clock(), limits=self._limits)

    def _wall_age(self, stamp: str) -> float:
        return age_of(stamp, self._wall())


_LATE_HINT = (
    "Look at the pods' log and events. If it only needs longer, raise the annotation slipway.dev/timeout."
)
