"""A deploy's cluster side: apply stage by stage, then watch the rollout to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from engine.cluster.apply import Applied, Applier, ApplyError, Patience, failed_status, status_of
from engine.cluster.autoscaling import Autoscaler, read_autoscalers
from engine.cluster.before import read_before
from engine.cluster.client import ApiError, Client
from engine.cluster.dryrun import dry_run
from engine.cluster.feed import Topic, World
from engine.cluster.marking import mark_objects
from engine.cluster.parallel import Outcomes
from engine.cluster.refusals import is_no_answer
from engine.cluster.resources import ClusterKinds, built_in
from engine.cluster.terminating import is_being_deleted, wait_until_gone
from engine.errors import SlipwayError
from engine.health.held import held_words, what_is_held
from engine.limits import Limits
from engine.manifests.plan import Phase, Stage, defined_kinds
from engine.rollout.readiness_warnings import soft_warnings
from engine.rollout.targets import is_waited_for
from engine.rollout.topics import is_watched, topics_of
from engine.rollout.waiting import Waiter
from engine.types import (
    WAIT_ANNOTATION,
    Action,
    Json,
    Manifest,
    ObjectRef,
    ObjectStatus,
    Observer,
    Progress,
    RolloutResult,
)

_CRD = "CustomResourceDefinition"


class Rollout:
    """Applies the stages of a deploy and waits for them. Use it as a context manager: entering opens the
    watches, before the first write; leaving closes them. Doing the same again after a crash is safe: what is in
    place is unchanged, and is judged as it stands.
    """

    def __init__(
        self,
        client: Client,
        stages: Sequence[Stage],
        *,
        kinds: ClusterKinds,
        observer: Observer,
        timeout: float,
        finished_jobs: Container[ObjectRef] = (),
        awaited: Collection[tuple[str, str]] = (),
        overwrite: Collection[ObjectRef] = (),
        mark: str = "",
        limits: Limits | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout`: seconds for all of it, from entering on. `finished_jobs`: pre- and post-deploy Jobs that are known to
        have succeeded; they are not run again. `awaited`: kind and name of Secrets and ConfigMaps that something is about
        to make; pods wait for them a while. `overwrite`: objects on which changes by people may be overwritten. `mark`:
        fences off an older deploy that may still write (engine/cluster/marking.py); empty: there is none."""
        self._client = client
        self._stages = stages
        self._manifests = [manifest for stage in stages for manifest in stage.manifests]
        self._kinds = kinds
        self._observer = observer
        self._timeout = timeout
        self._finished_jobs = finished_jobs
        self._overwrite = overwrite
        self._mark = mark
        self._limits = limits or Limits()
        self._patience = patience or Patience()
        self._clock = clock
        self._world = World(client)
        self._waiter = Waiter(client, self._world, observer, self._limits, clock=clock)
        self._waiter.verdicts.fresh.update(dict.fromkeys(awaited, self._limits.config_awaited))
        self._before: dict[ObjectRef, Json] | None = None
        self._autoscalers: dict[ObjectRef, Autoscaler] = {}
        self._fresh_kinds: set[tuple[str, str]] = set()
        self._applied: list[Applied] = []
        self._deadline = 0.0

    def __enter__(self) -> Rollout:
        """Open the watches and read what is there. Raises ApiError, UnknownKind, and what the observer's
        `check` raises."""
        self._deadline = self._clock() + self._timeout
        self._kinds.learn(self._manifests)
        self._observer.check()
        try:
            self._before = self._read()
        except BaseException:
            self._world.close()
            raise
        return self

    def _read(self) -> dict[ObjectRef, Json] | None:
        others = [m for m in self._manifests if not is_watched(m)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            opening = pool.submit(self._world.follow, topics_of(self._manifests, self._kinds))
            autoscalers = pool.submit(read_autoscalers, self._client, self._manifests)
            before = read_before(self._client, self._kinds, others, self._observer)
            opening.result()
            self._autoscalers = autoscalers.result()
        self._world.read_news(0)
        self._waiter.verdicts.remember()
        found = {**before, **self._world.objects} if before is not None else None
        if self._mark:
            return mark_objects(self._client, self._kinds, self._manifests, found, self._mark, self._observer)
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._world.close()

    def apply(self, *, after: Callable[[Stage], object] = lambda stage: None) -> list[ObjectStatus]:
        """Apply all stages but the post-deploy one, and wait for what the next stage needs: definitions, pre-
        deploy Jobs. `after` is called after each stage; what it raises ends the apply.

        Returns the status of every object. Raises ApplyError when objects are refused or a pre-deploy Job fails
        (later stages are not applied then), ApiError when the cluster does not answer, and what the observer's
        `check` raises.
        """
        self._wait_for_deletions()
        for stage in self._stages:
            if stage.phase != Phase.POSTDEPLOY:
                self._apply_stage(stage)
                after(stage)
        return list(self._waiter.statuses.values())

    def wait(self) -> RolloutResult:
        """Wait until everything applied is ready, then run the post-deploy Jobs. Raises ApiError when the
        cluster stays silent, and what the observer's `check` raises."""
        targets = [a for a in self._applied if is_waited_for(a) and self._may_wait(a.manifest)]
        ok = self._waiter.wait_for(targets, self._deadline)
        for stage in self._stages:
            if ok and stage.phase == Phase.POSTDEPLOY:
                ok = self._run_jobs(stage, self._apply_all(stage))
        held = self._held()
        soft = soft_warnings(self._client, self._kinds, self._manifests) if ok else []
        warnings = [*held, *soft]
        for warning in warnings:
            self._observer.line(warning, level="warning")
        return self._result(ok, warnings, held)

    def _held(self) -> list[str]:
        """What does not run because its workload replaces no pods by itself, whether this deploy changed it or left it so."""
        told = []
        for applied in self._applied:
            ref, body = applied.manifest.ref, self._world.objects.get(applied.manifest.ref)
            if body and (text := what_is_held(ref.kind, body)):
                told.append(held_words(ref.kind, ref.name, text, still=applied.action == Action.UNCHANGED))
        return told

    def _result(self, ok: bool, warnings: Sequence[str], held: Sequence[str]) -> RolloutResult:
        statuses = tuple(self._waiter.statuses.values())
        progress = {status.progress for status in statuses}
        timed_out = Progress.TIMED_OUT in progress and Progress.FAILED not in progress
        return RolloutResult(ok, timed_out, statuses, tuple(warnings), tuple(held))

    def _wait_for_deletions(self) -> None:
        """Objects of this deploy that are being deleted must be gone before anything is written."""
        before = self._before or {}
        going = [m for m in self._manifests if m.ref in before and is_being_deleted(before[m.ref])]
        patience = self._patience
        stuck = wait_until_gone(
            self._client, self._kinds, going, self._observer, seconds=patience.deletion, pause=patience.pause
        )
        for manifest in going:
            if manifest.ref in stuck:
                self._waiter.tell(failed_status(manifest, stuck[manifest.ref]))
            else:
                del before[manifest.ref]
        if stuck:
            raise self._error("Nothing was changed on the cluster.")

    def _apply_stage(self, stage: Stage) -> None:
        self._observer.check()
        applied = self._apply_all(stage)
        if stage.phase == Phase.FOUNDATIONS:
            self._wait_for_definitions(applied)
            self._check_deferred(applied)
        elif stage.phase == Phase.PREDEPLOY and not self._run_jobs(stage, applied):
            raise self._error("Nothing after it was applied: the workloads run as before.")

    def _apply_all(self, stage: Stage) -> list[Applied]:
        """Apply a stage's objects at once. All are tried, so that all refusals are known."""
        manifests = [manifest for manifest in stage.manifests if not self._is_finished(manifest)]
        if not manifests:
            return []
        applier = Applier(
            self._client,
            self._kinds,
            before=self._before,
            patience=self._patience,
            overwrite=self._overwrite,
            fresh_kinds=self._fresh_kinds,
            autoscalers=self._autoscalers,
        )
        applied: list[Applied] = []
        for manifest, outcome in Outcomes(manifests, applier.apply, self._observer, writes=True):
            if isinstance(outcome, ApiError) and is_no_answer(outcome):
                raise outcome
            if isinstance(outcome, SlipwayError):
                self._waiter.tell(failed_status(manifest, outcome))
                continue
            applied.append(outcome)
            self._waiter.tell(status_of(outcome))
        self._note(stage, applied)
        if len(applied) < len(manifests):
            raise self._error("")
        return applied

    def _is_finished(self, manifest: Manifest) -> bool:
        if manifest.ref.kind != "Job" or manifest.ref not in self._finished_jobs:
            return False
        self._waiter.tell(ObjectStatus(manifest.ref, Progress.READY, Action.UNCHANGED, "completed before"))
        return True

    def _note(self, stage: Stage, applied: Sequence[Applied]) -> None:
        """Remember what was applied, and say it in the log: one line an object that changed, one for the rest."""
        self._applied += applied
        for item in applied:
            ref = item.manifest.ref
            if item.action != Action.UNCHANGED or item.handed_over is not None or item.yielded:
                self._observer.line(
                    f"{ref.kind} {ref.namespace + '/' if ref.namespace else ''}{ref.name}: {status_of(item).sentence}"
                )
                if ref.kind in ("Secret", "ConfigMap"):
                    self._waiter.verdicts.fresh.setdefault((ref.kind, ref.name), self._limits.config_fresh)
        same = sum(1 for item in applied if item.action == Action.UNCHANGED)
        if same:
            self._observer.line(f"{stage.phase}: {same} of {len(stage.manifests)} objects unchanged")

    def _error(self, consequence: str) -> ApplyError:
        """The error for what has failed so far."""
        statuses = tuple(self._waiter.statuses.values())
        bad = [s for s in statuses if s.progress in (Progress.FAILED, Progress.TIMED_OUT)]
        more = f" ({len(bad) - 1} more failed, too.)" if len(bad) > 1 else ""
        hint = " ".join(part for part in (bad[0].hint, consequence) if part)
        return ApplyError(f"{bad[0].sentence}{more}", statuses=statuses, hint=hint)

    def _wait_for_definitions(self, applied: Sequence[Applied]) -> None:
        """Custom resources are refused until their definition is established."""
        new = [a for a in applied if a.manifest.ref.kind == _CRD and a.action != Action.UNCHANGED]
        if not new:
            return
        definition = built_in(_CRD, "apiextensions.k8s.io/v1")
        self._world.follow(Topic(definition, "", f"metadata.name={a.manifest.ref.name}") for a in new)
        self._fresh_kinds |= set(defined_kinds(a.manifest.body for a in new))
        if not self._waiter.wait_for(new, self._deadline):
            raise self._error("")

    def _check_deferred(self, applied: Sequence[Applied]) -> None:
        """Dry-run what could not be asked before its namespace or kind was there."""
        created = [a.manifest for a in applied if a.action == Action.CREATE]
        namespaces = {manifest.ref.name for manifest in created if manifest.ref.kind == "Namespace"}
        kinds = set(defined_kinds(manifest.body for manifest in created))
        waiting = [
            manifest
            for manifest in self._manifests
            if manifest.ref.namespace in namespaces or (manifest.ref.group, manifest.ref.kind) in kinds
        ]
        if not waiting:
            return
        changes = dry_run(
            self._client,
            waiting,
            kinds=self._kinds,
            digest=lambda value: "",  # no diff is made
            with_diff=False,
            observer=self._observer,
        )
        for change in changes:
            if change.error:
                self._waiter.tell(ObjectStatus(change.ref, Progress.FAILED, None, change.error, change.hint))
        if any(change.error for change in changes):
            raise self._error("Only namespaces, definitions and their like were applied.")

    def _run_jobs(self, stage: Stage, applied: Sequence[Applied]) -> bool:
        jobs = [a for a in applied if is_waited_for(a) and self._may_wait(a.manifest)]
        return self._waiter.wait_for(jobs, self._deadline, logs=True) if jobs else True

    def _may_wait(self, manifest: Manifest) -> bool:
        """`slipway.dev/wait: "false"`; and a Job that was waited for already is not judged twice."""
        done = self._waiter.statuses.get(manifest.ref)
        annotations = manifest.body["metadata"].get("annotations") or {}
        if annotations.get(WAIT_ANNOTATION) == "false":
            return False
        return not (manifest.ref.kind == "Job" and done and done.progress == Progress.READY)
