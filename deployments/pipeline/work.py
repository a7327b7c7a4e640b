"""What one worker knows while it works on one deploy, and how it reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapters.kubernetes.client import KubernetesClient
from deployments.gate.ending import evidence_of
from deployments.models import Deploy, ObjectState
from deployments.preparation.preparation import Preparation
from engine.cluster.resources import ClusterKinds
from engine.manifests.render import ImagePin
from engine.types import Manifest, ObjectStatus, Progress
from projects.connections import cluster_client
from projects.models import Environment
from runs.life.attempt import Attempt


@dataclass
class Work(Attempt[Deploy]):
    """The state of one attempt. What a step finds is put here for the next one; a take-over finds it again."""

    preparation: Preparation | None = None
    held: tuple[str, ...] = ()  # about workloads that do not replace their pods by themselves

    @property
    def deploy(self) -> Deploy:
        """What is worked on."""
        return self.run

    @property
    def environment(self) -> Environment:
        """Where it goes."""
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
        """The environment's cluster; made when first asked for, in the process that uses it (it does not survive a fork)."""
        return cluster_client(self.environment.cluster, purpose=f"deploy {self.deploy.number}")

    @cached_property
    def kinds(self) -> ClusterKinds:
        """What the cluster knows of kinds."""
        return ClusterKinds(self.client)

    @property
    def reached_cluster(self) -> bool:
        """Whether the cluster was talked to in this attempt."""
        return "client" in self.__dict__

    def close(self) -> None:
        """Gives the cluster's connections back."""
        if self.reached_cluster:
            self.client.close()


class RowObserver:
    """The engine's observer: lines to the log, objects to rows, and the stop signs of the work.

    Rows are written together at most five times a second: two hundred objects becoming ready are a few writes.
    """

    FLUSH_SECONDS = 0.2
    # The engine keeps the same deadline by itself: it needs this long after it to say what was late, with evidence.
    GRACE_SECONDS = 15.0

    def __init__(self, work: Work, order: Sequence[Manifest]) -> None:
        self.work = work
        self.positions = {str(manifest.ref): position for position, manifest in enumerate(order)}
        self._waiting: dict[str, ObjectStatus] = {}
        self._actions: dict[str, str] = {}
        self._told: dict[str, tuple[Progress, str]] = {}
        self._next_flush = 0.0

    def line(self, text: str, *, level: str = "info") -> None:
        """To the deploy's log."""
        self.work.log(text, level=level)

    def status(self, status: ObjectStatus) -> None:
        """Remembers the newest state of an object, and writes when it is time; tells the log how a rollout goes on."""
        ref = str(status.ref)
        told = (status.progress, status.sentence)
        if status.progress in (Progress.PROGRESSING, Progress.READY) and self._told.get(ref) != told:
            self.line(f"{status.ref.kind} {status.ref.name}: {status.sentence or status.progress}")
        self._told[ref] = told
        self._waiting[ref] = status
        if time.monotonic() >= self._next_flush:
            self.flush()

    def check(self) -> None:
        """Writes what waits, then raises if the deploy is to stop."""
        self.flush()
        self.work.check(grace=self.GRACE_SECONDS)

    def flush(self) -> None:
        """Writes the remembered states. Raises FenceLost."""
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
            action=self._actions.get(ref, ""),
            progress=status.progress.value,
            sentence=shown["sentence"][:500],
            hint=shown["hint"][:500],
            evidence=shown if status.evidence is not None else None,
        )
