"""The state of one attempt at a deploy, and the observer that reports its progress."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from adapters.kubernetes.client import KubernetesClient
from deployments.gate import undoing
from deployments.gate.ending import evidence_of
from deployments.models import Deploy, ObjectState
from deployments.preparation.preparation import Preparation
from engine.cluster.resources import ClusterKinds
from engine.manifests.render import ImagePin
from engine.types import Manifest, ObjectStatus, Progress
from projects.connections import cluster_client
from projects.models import Environment
from runs.life.attempt import Attempt
from runs.life.ending import as_stored
from runs.models import Step, StepState


@dataclass
class Work(Attempt[Deploy]):
    """The state of one attempt: each step stores its results here for the next one. A worker that takes over computes them
    again."""

    preparation: Preparation | None = None
    held: tuple[str, ...] = ()  # about workloads that do not replace their pods by themselves

    @property
    def deploy(self) -> Deploy:
        """The deploy of this attempt."""
        return self.run

    @property
    def environment(self) -> Environment:
        """The environment of the deploy."""
        return self.deploy.environment

    @property
    def pins(self) -> Sequence[ImagePin]:
        """The images of a fresh release, once rendered."""
        return self.preparation.pins if self.preparation else ()

    @property
    def manifests(self) -> Sequence[Manifest]:
        """The objects to apply, once rendered."""
        return self.preparation.manifests if self.preparation else ()

    @cached_property
    def client(self) -> KubernetesClient:
        """The client of the environment's cluster, made on first use, in the process that uses it: connections do not
        survive a fork."""
        return cluster_client(self.environment.cluster, purpose=f"deploy {self.deploy.number}")

    @cached_property
    def kinds(self) -> ClusterKinds:
        """The kinds of object that the cluster knows."""
        return ClusterKinds(self.client)

    @property
    def reached_cluster(self) -> bool:
        """Whether this attempt has made a client for the cluster."""
        return "client" in self.__dict__

    def doing(self, text: str) -> None:
        """Tells open pages what the running step asks for, until its summary takes the place. Raises FenceLost."""
        with self.fence.held():
            running = Step.objects.filter(
                run_id=self.run.run_id, name=self.journal.step, state=StepState.RUNNING
            )
            running.update(summary=as_stored(text)[:300])
        self.journal.changed()

    def close(self) -> None:
        """Closes the connections to the cluster."""
        if self.reached_cluster:
            self.client.close()


def keep_key_names(work: Work, names: Mapping[str, Sequence[str]]) -> None:
    """Stores names of secret keys by the sentence that counts them (`Deploy.key_names`). Raises FenceLost."""
    if not names:
        return
    known = dict(work.deploy.key_names)
    known |= {as_stored(sentence): as_stored(list(keys)) for sentence, keys in names.items()}
    with work.fence.held():
        Deploy.objects.filter(pk=work.deploy.pk).update(key_names=known)
    work.deploy.key_names = known


class RowObserver:
    """The engine's observer: writes lines to the log and states of objects to rows, and raises when the run must stop.

    Rows are written in batches, at most five times a second, so that two hundred objects need few writes.
    """

    FLUSH_SECONDS = 0.2
    # The engine has the same deadline; afterwards it needs this time to collect evidence about late objects.
    GRACE_SECONDS = 15.0

    def __init__(self, work: Work, order: Sequence[Manifest]) -> None:
        self.work = work
        self.positions = {str(manifest.ref): position for position, manifest in enumerate(order)}
        self._waiting: dict[str, ObjectStatus] = {}
        self._actions: dict[str, str] = {}
        # What an earlier attempt wrote: this one finds it unchanged, but the deploy did change it.
        self._written = dict(undoing.written_objects(work.deploy).values_list("ref", "action"))
        self._told: dict[str, tuple[Progress, str]] = {}
        self._next_flush = 0.0

    def line(self, text: str, *, level: str = "info") -> None:
        """Writes a line to the deploy's log."""
        self.work.log(text, level=level)

    def status(self, status: ObjectStatus) -> None:
        """Keeps the newest state of an object for the next flush, and logs its progress when that changed. Raises FenceLost."""
        ref = str(status.ref)
        told = (status.progress, status.sentence)
        if status.progress in (Progress.PROGRESSING, Progress.READY) and self._told.get(ref) != told:
            self.line(f"{status.ref.kind} {status.ref.name}: {status.sentence or status.progress}")
        self._told[ref] = told
        self._waiting[ref] = status
        if time.monotonic() >= self._next_flush:
            self.flush()

    def check(self) -> None:
        """Flushes, then raises if the deploy must stop (`runs.life.attempt.Attempt.check`)."""
        self.flush()
        self.work.check(grace=self.GRACE_SECONDS)

    def confirm(self) -> None:
        """Raises unless this attempt is the current one of the deploy."""
        self.work.confirm()

    def is_sure(self) -> bool:
        """Whether the journal knows that nobody can have taken the deploy over."""
        return self.work.journal.is_sure()

    def flush(self) -> None:
        """Writes the states that were collected since the last flush. Raises FenceLost."""
        self._next_flush = time.monotonic() + self.FLUSH_SECONDS
        if not self._waiting:
            return
        rows = [self._row(ref, status) for ref, status in self._waiting.items()]
        self._waiting = {}
        with self.work.fence.held():
            ObjectState.objects.bulk_create(
                rows,
                update_conflicts=True,
                unique_fields=["run_id", "ref"],
                update_fields=[
                    "position",
                    "action",
                    "progress",
                    "sentence",
                    "hint",
                    "evidence",
                    "pods",
                    "changed_at",
                ],
            )
        self.work.journal.changed()

    def _row(self, ref: str, status: ObjectStatus) -> ObjectState:
        shown: dict[str, Any] = evidence_of(status)
        if status.action is not None:
            self._actions[ref] = status.action.value
        return ObjectState(
            run_id=self.work.deploy.run_id,
            ref=ref[:400],
            position=self.positions.get(ref, len(self.positions)),
            action=self._written.get(ref[:400]) or self._actions.get(ref, ""),
            progress=status.progress.value,
            sentence=shown["sentence"][:500],
            hint=shown["hint"][:500],
            evidence=shown if status.evidence is not None else None,
            pods=as_stored(asdict(status.pods)) if status.pods else None,
        )
