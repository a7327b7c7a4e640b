"""The functions of a deploy's steps. Each takes the work, stores its results there, and returns the step's summary. Each is
idempotent: a worker that takes over may run it again.

The steps before the first write belong to the preparation (deployments/preparation/preparation.py): a *fresh* deploy makes
its release from a revision, a *stored* one loads the objects of a release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from core.secret_values import digests_of
from deployments.gate.secrets_alone import base_of
from deployments.models import Deploy, ObjectState, Release, compress
from deployments.pipeline.fencing import mark_against_earlier
from deployments.pipeline.work import RowObserver, Work, keep_key_names
from deployments.preparation.preflight import plural, stop_for
from deployments.preparation.preparation import Fresh, Preparation, Stored
from deployments.preparation.prepare import NotDeployable
from deployments.preparation.secrets_only import SecretsOnly
from engine.cluster.client import Client
from engine.cluster.resources import ClusterKinds
from engine.limits import Limits
from engine.manifests.missing import awaited
from engine.manifests.plan import Phase, Stage, stages
from engine.manifests.stored import content_hash, to_stored
from engine.rollout.rollout import Rollout
from engine.types import Manifest, ObjectRef, Progress, RolloutResult
from projects.secret_files import Patiently
from registry import deploys as pull
from registry.proving import note_images
from runs.life.ending import as_stored
from secrets_ui.known.uses import note_use


class ReleaseIsBad(NotDeployable):
    """The rollout ended before every object was ready. `result` is the engine's."""

    def __init__(self, result: RolloutResult) -> None:
        first = result.failures[0]
        more = f" And {len(result.failures) - 1} more." if len(result.failures) > 1 else ""
        super().__init__(f"{first.sentence}{more}", hint=first.hint)
        self.result = result


@dataclass(frozen=True)
class WorkMeans:
    """How a worker reaches outside systems (see `preparation.Means`): with long timeouts, and able to stop."""

    work: Work
    hasty: bool = False

    @property
    def client(self) -> Client:
        """The client of the attempt."""
        return self.work.client

    @property
    def kinds(self) -> ClusterKinds:
        """The kinds of object that the cluster knows."""
        return self.work.kinds

    @property
    def patiently(self) -> Patiently:
        """Runs a slow call in a thread, so that the deploy can be stopped meanwhile."""
        return self.work.patiently

    def log(self, text: str, *, level: str = "info") -> None:
        """Writes a line to the deploy's log."""
        self.work.log(text, level=level)

    def observer(self, manifests: Sequence[Manifest]) -> RowObserver:
        """The observer that writes the states of the objects to their rows."""
        return RowObserver(self.work, manifests)


def preparation_of(work: Work) -> Preparation:
    """The attempt's preparation, made on the first call. Raises NotDeployable for a release that was made for another
    cluster or namespace, and when there is no release for a deploy of the secrets alone."""
    if work.preparation is None:
        work.preparation = new_preparation(work)
    return work.preparation


def new_preparation(work: Work) -> Preparation:
    """By the kind of the deploy, and whether its release is made already. Raises NotDeployable."""
    deploy, means = work.deploy, WorkMeans(work)
    if deploy.release:
        return Stored(work.environment, deploy.release, means)
    if deploy.kind != Deploy.Kind.SECRETS:
        return Fresh(work.environment, deploy.revision, means, deploy.secret_versions)
    release, why_not = base_of(work.environment)
    if release is None or release.revision != deploy.revision:
        raise NotDeployable(
            f"The secrets cannot be deployed alone: {why_not or 'what runs has changed meanwhile.'}",
            hint="Nothing was changed on the cluster. Deploy a revision: that takes the secrets along.",
        )
    return SecretsOnly(work.environment, release, means, deploy.secret_versions)


def checkout(work: Work) -> str:
    """Step `checkout`: reads the objects of the config directory; of a stored release, only the Secrets that live in Git.
    Raises ManifestError, NotDeployable, ExternalError."""
    prepared = preparation_of(work)
    work.doing("fetches the revision from the Git host")
    summary = prepared.checkout()
    if work.deploy.release is None:
        work.log(f"{work.deploy.short} {work.deploy.subject} ({work.deploy.author})")
        work.log(summary)
    return summary


def secrets(work: Work) -> str:
    """Step `secrets`: fetches the secrets files in their pinned versions, and the other ones in their current versions. Pins
    the deploy to all of them, so that a worker that takes over reads the same. Raises ManifestError, NotDeployable,
    ExternalError, FenceLost."""
    prepared = preparation_of(work)
    work.doing("reads the secrets files from AWS")
    summary = prepared.secrets()
    work.warnings += prepared.notes
    versions = {one.path: one.version_id for one in prepared.fetched}
    if versions != work.deploy.secret_versions:
        with work.fence.held():
            Deploy.objects.filter(pk=work.deploy.pk).update(secret_versions=versions)
        work.deploy.secret_versions = versions
    return summary


def render(work: Work) -> str:
    """Step `render`: makes the objects to apply. Raises ManifestError, NotDeployable, ExternalError, ApiError."""
    prepared = preparation_of(work)
    work.doing("asks the registry for the images, and the cluster for the kinds of object that it knows")
    return prepared.render()


def check(work: Work) -> str:
    """Step `preflight`; afterwards stores a release that is not stored yet. Raises NotDeployable, ApiError, FenceLost."""
    prepared = preparation_of(work)
    asked = f"the cluster {work.environment.cluster.name} for a dry run of {plural(len(prepared.manifests), 'object')}"
    work.doing(f"asks {asked}")
    found = prepared.preflight().overridden(work.deploy.override_reason)
    for finding in found.findings:
        work.log(finding.line, level=finding.level)
    work.warnings += [finding.text for finding in found.warnings]
    keep_key_names(work, {finding.text: finding.keys for finding in found.findings if finding.keys})
    stop_for(found)
    note_pulled(work)
    pinned = work.deploy.release is not None
    if not pinned:
        store_release(work)
    store_uses(work, pinned=pinned)
    return f"{plural(len(found.changes), 'object')} checked, {plural(len(found.warnings), 'warning')}"


def note_pulled(work: Work) -> None:
    """Remembers the images of the deploy, which are in their registry: new tokens are tried on them. Raises FenceLost."""
    images = {image.name: image for image in work.environment.project.images.all()}
    known = [(images[pin.name], pin.digest or pin.tag) for pin in work.pins if pin.name in images]
    with work.fence.held():
        note_images(known)


def store_release(work: Work) -> None:
    """Stores the release before the first write: objects without secret values, image digests, VersionIds. Raises FenceLost."""
    deploy, prepared = work.deploy, preparation_of(work)
    versions = {one.path: one.version_id for one in prepared.fetched}
    objects = to_stored(
        prepared.manifests, digests=digests_of(deploy.environment.label), version_ids=versions
    )
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
        Deploy.objects.filter(pk=deploy.pk).update(release=deploy.release, warnings=as_stored(work.warnings))


def store_uses(work: Work, *, pinned: bool) -> None:
    """Stores which versions of the secrets files the deploy will apply. `pinned`: those of a stored release. Raises FenceLost."""
    with work.fence.held(), transaction.atomic():
        note_use(work.environment, work.deploy.number, preparation_of(work).fetched, pinned=pinned)


def open_rollout(work: Work) -> tuple[Rollout, RowObserver]:
    """The engine's rollout over all objects, with its observer. Entering the rollout opens the watches."""
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
        mark=mark_against_earlier(work),
        limits=Limits(settle=work.environment.settling.seconds),
    )
    return rollout, observer


def finished_jobs(work: Work) -> set[ObjectRef]:
    """Kubernetes Jobs that completed in an earlier attempt: they are not run twice."""
    rows = ObjectState.objects.filter(
        run_id=work.deploy.run_id, progress=Progress.READY, ref__startswith="Job.batch/"
    )
    return {ObjectRef.parse(ref) for ref in rows.values_list("ref", flat=True)}


def apply(work: Work, rollout: Rollout, observer: RowObserver) -> str:
    """Step `apply`: makes the pull secret valid, then writes all objects, stage by stage. Where a stage brings the namespace, the
    pull secret follows before the next stage. Raises ApplyError, ApiError, NotDeployable, FenceLost."""
    lacks_namespace = let_pull(work)

    def after(stage: Stage) -> None:
        nonlocal lacks_namespace
        if lacks_namespace and stage.phase == Phase.FOUNDATIONS:
            lacks_namespace = let_pull(work, began=True)

    statuses = rollout.apply(after=after)
    observer.flush()
    done = [status.action for status in statuses if status.action is not None]
    counts = {action: done.count(action) for action in dict.fromkeys(done)}
    return ", ".join(f"{count} {action.value}d" if action.value != "unchanged" else f"{count} unchanged"
                     for action, count in counts.items()) or "nothing to apply"  # fmt: skip


def let_pull(work: Work, *, began: bool = False) -> bool:
    """Makes the pull credential valid if the portal keeps it. Returns whether its namespace is not there yet. `began`: objects
    of the deploy were written before. Raises NotDeployable when pods could not pull their images."""
    found = pull.ensure(work.environment, work.client, asked_as=f"deploy {work.deploy.number}")
    if found.sentence and not found.lacks_namespace:
        work.log(found.sentence, level="info" if found.is_usable else "warning")
    if found.is_managed and not found.is_usable and not found.lacks_namespace:
        text = f"The pull secret {work.environment.pull_secret} is not valid and could not be renewed: {found.sentence}"
        left = (
            "Only namespaces, definitions and their like were applied."
            if began
            else "Nothing was changed on the cluster."
        )
        raise NotDeployable(text, hint=f"{found.hint} {left}".strip())
    return found.lacks_namespace


def note_held(work: Work, held: Sequence[str]) -> None:
    """Workloads of this deploy, changed or not, keep pods of before: the release is in place, and not verified."""
    work.held = tuple(held)
    with work.fence.held():
        Deploy.objects.filter(pk=work.deploy.pk).update(is_held_back=bool(held))


def watch(work: Work, rollout: Rollout, observer: RowObserver) -> str:
    """Step `rollout`: waits until every object is ready. Raises ReleaseIsBad, ApiError, FenceLost."""
    result = rollout.wait()
    observer.flush()
    work.warnings += list(result.warnings)
    if not result.ok:
        raise ReleaseIsBad(result)
    note_held(work, result.held)
    ready = sum(1 for status in result.statuses if status.progress == Progress.READY)
    return f"{plural(ready, 'object')} ready" if ready else "nothing to wait for"
