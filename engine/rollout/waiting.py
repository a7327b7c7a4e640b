"""The loop in which a rollout waits: reads news, judges, tells what changed, and ends at a failure, at success
or at a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.cluster.apply import Applied
from engine.cluster.client import ACCEPT_METADATA, Client
from engine.cluster.feed import Topic, World
from engine.cluster.resources import built_in
from engine.health.objects import Judgement
from engine.limits import Limits
from engine.rollout.evidence import completed, last_word, newest_text
from engine.rollout.joblog import JobLogs
from engine.rollout.postmortem import collect
from engine.rollout.shown import shown_pods, what_pods_wait_for
from engine.rollout.targets import Target
from engine.rollout.verdicts import Verdicts
from engine.types import Evidence, ObjectRef, ObjectStatus, Observer, Progress

ROUND = 0.5  # seconds between two looks at the clock (and two calls of observer.check)
_BREATH = 0.05  # seconds between two judgements while news pour in
_LOG_REST = 3.0  # seconds for the rest of a finished Job's log
_MAX_EVIDENCE = 5  # objects; more explain nothing
_TAIL = 10  # log lines of a failure that are told; the evidence has more


class Waiter:
    """Waits for targets, in one or several rounds, over the same watches."""

    def __init__(
        self,
        client: Client,
        world: World,
        observer: Observer,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._world = world
        self._observer = observer
        self._limits = limits
        self._clock = clock
        self.verdicts = Verdicts(world, limits, clock=clock, wall=wall)
        self.statuses: dict[ObjectRef, ObjectStatus] = {}  # the last told of each object
        self.warnings: list[str] = []
        self._secured: dict[ObjectRef, Evidence | None] = {}  # collected at the first sight of a failure
        self._lost_since: float | None = None
        self._is_lost = False
        self._lists_of_lost = 0

    def tell(self, status: ObjectStatus) -> None:
        """Tell the observer a status, unless it is the last one again."""
        if self.statuses.get(status.ref) != status:
            self.statuses[status.ref] = status
            self._observer.status(status)

    def wait_for(self, applied: Sequence[Applied], deadline: float, *, logs: bool = False) -> bool:
        """Wait until all are ready; False when one failed or the time is over. Raises what `observer.check`
        raises, and ApiError when the cluster stays silent. `logs`: copy the log of Jobs to the observer."""
        for item in applied:
            self.verdicts.add(item, deadline)
        targets = [self.verdicts.targets[item.manifest.ref] for item in applied]
        ok = self._loop_with_logs(targets, deadline) if logs else self._loop(targets, deadline, None)
        if not ok:
            self._add_evidence(targets)
        return ok

    def _loop_with_logs(self, targets: Sequence[Target], deadline: float) -> bool:
        """The loop, with the logs of Jobs copied to their last line; when it is called off, they end at once."""
        logs = JobLogs(self._client)
        rest = 0.0
        try:
            ok = self._loop(targets, deadline, logs)
            rest = _LOG_REST
        finally:
            logs.close(rest)
        self._copy(logs)
        return ok

    def _loop(self, targets: Sequence[Target], deadline: float, logs: JobLogs | None) -> bool:
        failed_at: float | None = None
        while True:
            self._observer.check()
            progress = self._judge(targets, late=self._clock() >= deadline)
            self._follow_causes(targets, progress)
            if logs:
                self._read_logs(logs, targets)
            if not progress - {Progress.READY}:
                self._tell_found()
                return True
            if progress & {Progress.FAILED, Progress.TIMED_OUT}:
                failed_at = failed_at if failed_at is not None else self._clock()
                if Progress.PROGRESSING not in progress or self._clock() - failed_at >= self._limits.gather:
                    return False
                self._secure(targets)
            self._check_silence()
            if self._world.read_news(min(ROUND, self._limits.gather) if failed_at is not None else ROUND):
                time.sleep(_BREATH)
                self._world.read_news(0)

    def _judge(self, targets: Sequence[Target], *, late: bool) -> set[Progress]:
        """Judge and tell; past the deadline, what is not ready has timed out."""
        judged = self.verdicts.judge_all(target.ref for target in targets)
        seen = set()
        for target in targets:
            judgement = judged[target.ref]
            if late and judgement.progress == Progress.PROGRESSING:
                judgement = replace(
                    judgement,
                    progress=Progress.TIMED_OUT,
                    sentence=f"{judgement.sentence} when the deploy's time was over",
                    hint=judgement.trouble.hint if judgement.trouble else judgement.hint,
                )
                target.last = judgement
            seen.add(judgement.progress)
            body = self._world.objects.get(target.ref)
            target.shown = shown_pods(target, body, self.verdicts.events, self._limits)
            self.tell(_status(target, judgement))
            for words in what_pods_wait_for(target):
                self._observer.line(f"{target.ref.kind} {target.ref.name}: {words}")
        for note in self.verdicts.notes:
            self._observer.line(note)
        self.verdicts.notes.clear()
        return seen

    def _follow_causes(self, targets: Iterable[Target], progress: Collection[Progress]) -> None:
        """Events and ReplicaSets are followed once something is not ready at once."""
        if not set(progress) - {Progress.READY}:
            return
        namespaces = {target.ref.namespace for target in targets if target.ref.namespace}
        kinds = {target.ref.kind for target in targets}
        topics = [Topic(built_in("Event"), namespace, "type=Warning") for namespace in namespaces]
        if "Deployment" in kinds:
            sets = built_in("ReplicaSet", "apps/v1")
            topics += [Topic(sets, namespace, accept=ACCEPT_METADATA) for namespace in namespaces]
        self._world.follow_when_possible(topics)

    def _check_silence(self) -> None:
        """Tell when the connection is lost and when it is back; give up after a while."""
        if not self._world.lost:
            self._tell_found()
            return
        error = next(iter(self._world.lost.values()))
        now = self._clock()
        if self._lost_since is None or self._lists_of_lost != self._world.lists_of_lost:
            self._lost_since, self._lists_of_lost = now, self._world.lists_of_lost  # silence begins anew
        if not self._is_lost:
            self._is_lost = True
            self._observer.line(f"{error.message} Trying again.", level="warning")
        if now - self._lost_since >= self._limits.silence or error.status == 401:
            raise error

    def _tell_found(self) -> None:
        if self._is_lost:
            self._observer.line("The cluster answers again.")
        self._lost_since, self._is_lost = None, False

    def _read_logs(self, logs: JobLogs, targets: Sequence[Target]) -> None:
        for target in targets:
            if target.ref.kind == "Job":
                uid = target.applied.uid
                pods = self._world.all_of("Pod", target.ref.namespace)
                owners = ((pod, pod["metadata"].get("ownerReferences") or []) for pod in pods)
                logs.update([pod for pod, found in owners if any(owner.get("uid") == uid for owner in found)])
        self._copy(logs)

    def _copy(self, logs: JobLogs) -> None:
        for line in logs.lines():
            self._observer.line(line)

    def _secure(self, targets: Sequence[Target]) -> None:
        """Ask about what has failed before waiting for what else fails: a person may delete it meanwhile."""
        for target in _bad(targets)[:_MAX_EVIDENCE]:
            if target.ref not in self._secured:
                self._secured[target.ref] = self._collect(target)

    def _add_evidence(self, targets: Sequence[Target]) -> None:
        """Ask the cluster about what failed, and tell it."""
        bad = _bad(targets)
        with ThreadPoolExecutor(max_workers=_MAX_EVIDENCE) as pool:
            found = list(pool.map(self._evidence, bad[:_MAX_EVIDENCE]))
        for target, evidence in zip(bad, [*found, *[None] * len(bad)], strict=False):
            judgement = target.last
            if judgement:
                status = replace(_status(target, judgement), evidence=evidence)
                self.tell(replace(status, sentence=_with_cause(status.sentence, judgement, evidence)))
                self._tell_failure(self.statuses[target.ref])

    def _evidence(self, target: Target) -> Evidence | None:
        return completed(self._collect(target), self._secured.get(target.ref))

    def _collect(self, target: Target) -> Evidence | None:
        trouble = target.last.trouble if target.last else None
        return collect(self._client, target.ref.namespace, target.pods, trouble)

    def _tell_failure(self, status: ObjectStatus) -> None:
        self._observer.line(status.sentence, level="error")
        evidence = status.evidence
        if not evidence:
            return
        for event in [event for event in evidence.events if event.type == "Warning"][-3:]:
            self._observer.line(f"  event: {event}", level="error")
        for line in (evidence.previous_logs or evidence.logs)[-_TAIL:]:
            self._observer.line(f"  {evidence.container}: {line}", level="error")


def _bad(targets: Sequence[Target]) -> list[Target]:
    return [t for t in targets if t.last and t.last.progress in (Progress.FAILED, Progress.TIMED_OUT)]


def _status(target: Target, judgement: Judgement) -> ObjectStatus:
    sentence = judgement.sentence
    if judgement.progress in (Progress.FAILED, Progress.TIMED_OUT):
        sentence = f"{target.ref.name}: {sentence}"
    action, pods = target.applied.action, target.shown
    return ObjectStatus(target.ref, judgement.progress, action, sentence, judgement.hint, pods=pods)


def _with_cause(sentence: str, judgement: Judgement, evidence: Evidence | None) -> str:
    """The sentence with the log's last word for crashes and failed Jobs, or with what the failing probe said."""
    if evidence is None:
        return sentence
    topic = judgement.trouble.topic if judgement.trouble else ""
    crashed = topic in ("crash", "failed") or "the Job failed" in sentence
    said_all = judgement.trouble is not None and judgement.trouble.reason in _EXPLAINED
    if crashed and not said_all and (word := last_word(evidence)):
        return f"{sentence}: {word}"
    if not topic and (probe := newest_text(evidence.events, "Unhealthy")):
        return f"{sentence}: {probe[:200]}"
    return sentence


_EXPLAINED = ("Unhealthy", "OOMKilled")  # the program was killed: its log says nothing about that
