"""What each step of a deploy does. Every function takes the work, leaves its findings in it, and returns the step's
summary. Each is idempotent: a worker that takes over may run it again.

The steps before the first write are those of the preparation (deployments/preparation/preparation.py): a *fresh* deploy
makes its release from a revision, a *stored* one brings the objects of a release back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from core.secret_values import digest
from deployments.models import Deploy, ObjectState, Release, compress
from deployments.pipeline.work import RowObserver, Work
from deployments.preparation.preflight import plural, stop_for
from deployments.preparation.preparation import Fresh, Preparation, Stored
from deployments.preparation.prepare import NotDeployable
from engine.cluster.client import Client
from engine.cluster.resources import ClusterKinds
from engine.manifests.missing import awaited
from engine.manifests.plan import stages
from engine.manifests.stored import content_hash, to_stored
from engine.rollout.rollout import Rollout
from engine.types import Manifest, ObjectRef, Progress, RolloutResult
from projects.secret_files import Patiently
from runs.life.ending import kept


class ReleaseIsBad(NotDeployable):
    """The rollout ended without everything being ready."""

    def __init__(self, result: RolloutResult) -> None:
        first = result.failures[0]
        more = f" And {len(result.failures) - 1} more." if len(result.failures) > 1 else ""
        super().__init__(f"{first.sentence}{more}", hint=first.hint)
        self.result = result


@dataclass(frozen=True)
class WorkMeans:
    """The outside as a worker reaches it: with time, and ready to be stopped."""

    work: Work
    hasty: bool = False

    @property
    def client(self) -> Client:
        """The work's own client."""
        return self.work.client

    @property
    def kinds(self) -> ClusterKinds:
        """What its cluster knows of kinds."""
        return self.work.kinds

    @property
    def patiently(self) -> Patiently:
        """Asks in a thread, so that the deploy can be stopped meanwhile."""
        return self.work.patiently

    def log(self, text: str, *, level: str = "info") -> None:
        """A line of the deploy's log."""
        self.work.log(text, level=level)

    def observer(self, manifests: Sequence[Manifest]) -> RowObserver:
        """Writes what becomes of the objects into their rows."""
        return RowObserver(self.work, manifests)


def preparation_of(work: Work) -> Preparation:
    """The attempt's preparation, made at its first step. Raises NotDeployable for a release of another place."""
    if work.preparation is None:
        release, means = work.deploy.release, WorkMeans(work)
        work.preparation = (
            Stored(work.environment, release, means)
            if release
            else Fresh(work.environment, work.deploy.revision, means)
        )
    return work.preparation


def checkout(work: Work) -> str:
    """The objects of the config directory, as written."""
    summary = preparation_of(work).checkout()
    work.log(f"{work.deploy.short} {work.deploy.subject} ({work.deploy.author})")
    work.log(summary)
    return summary


def secrets(work: Work) -> str:
    """The secrets files: their current versions, or those of the stored release."""
    return preparation_of(work).secrets()


def render(work: Work) -> str:
    """The objects to apply."""
    return preparation_of(work).render()


stored_secrets, stored_render = secrets, render  # the preparation knows which it is


def check(work: Work) -> str:
    """The preflight; afterwards the release is stored."""
    summary = _check(work)
    store_release(work)
    return summary


def stored_checkout(work: Work) -> str:
    """What a stored release needs of the repository."""
    return preparation_of(work).checkout()


def stored_check(work: Work) -> str:
    """The preflight of a stored release."""
    return _check(work)


def _check(work: Work) -> str:
    found = preparation_of(work).preflight().overridden(work.deploy.override_reason)
    for finding in found.findings:
        work.log(finding.line, level=finding.level)
    work.warnings += [finding.text for finding in found.warnings]
    stop_for(found)
    return f"{plural(len(found.changes), 'object')} checked, {plural(len(found.warnings), 'warning')}"


def store_release(work: Work) -> None:
    """Keeps what is about to be applied: objects without secret values, digests, VersionIds."""
    deploy, prepared = work.deploy, preparation_of(work)
    versions = {one.path: one.version_id for one in prepared.fetched}
    objects = to_stored(prepared.manifests, digest=digest, version_ids=versions)
    images = {p.name: {"repository": p.repository, "tag": p.tag, "digest": p.digest} for p in prepared.pins}
    with work.fence.held(), transaction.atomic():
        deploy.release = Release.objects.create(
            environment=deploy.environment,
            revision=deploy.revision,
            subject=deploy.subject,
            author=deploy.author,
            images=images,
            secret_versions=versions,
            objects_compressed=compress(objects),
            object_count=len(objects),
            content_hash=content_hash(objects),
            place=deploy.environment.place,
        )
        Deploy.objects.filter(pk=deploy.pk).update(release=deploy.release, warnings=kept(work.warnings))


def open_rollout(work: Work) -> tuple[Rollout, RowObserver]:
    """The engine's rollout over all objects, with its observer; watches are opened when it is entered."""
    planned = stages(work.manifests, deploy_number=work.deploy.number)
    order = [manifest for stage in planned for manifest in stage.manifests]
    observer = RowObserver(work, order)
    rollout = Rollout(
        work.client,
        planned,
        kinds=work.kinds,
        observer=observer,
        timeout=work.remaining(),
        finished_jobs=finished_jobs(work),
        awaited=awaited(work.manifests, all_of_them=bool(work.deploy.override_reason)),
    )
    return rollout, observer


def finished_jobs(work: Work) -> set[ObjectRef]:
    """Jobs that an earlier attempt saw to their end: they are not run twice."""
    rows = ObjectState.objects.filter(
        run_id=work.deploy.run_id, progress=Progress.READY, ref__startswith="Job.batch/"
    )
    return {ObjectRef.parse(ref) for ref in rows.values_list("ref", flat=True)}


def apply(work: Work, rollout: Rollout, observer: RowObserver) -> str:
    """Everything written, in stages. Raises ApplyError."""
    statuses = rollout.apply()
    observer.flush()
    done = [status.action for status in statuses if status.action is not None]
    counts = {action: done.count(action) for action in dict.fromkeys(done)}
    return ", ".join(f"{count} {action.value}d" if action.value != "unchanged" else f"{count} unchanged"
                     for action, count in counts.items()) or "nothing to apply"  # fmt: skip


def note_held(work: Work, held: Sequence[str]) -> None:
    """Workloads of this deploy do not replace their pods by themselves: the release is in place, and not verified."""
    work.held = tuple(held)
    with work.fence.held():
        Deploy.objects.filter(pk=work.deploy.pk).update(is_held_back=bool(held))


def watch(work: Work, rollout: Rollout, observer: RowObserver) -> str:
    """The rollout to its end. Raises ReleaseIsBad."""
    result = rollout.wait()
    observer.flush()
    work.warnings += list(result.warnings)
    if not result.ok:
        raise ReleaseIsBad(result)
    note_held(work, result.held)
    ready = sum(1 for status in result.statuses if status.progress == Progress.READY)
    return f"{plural(ready, 'object')} ready" if ready else "nothing to wait for"
