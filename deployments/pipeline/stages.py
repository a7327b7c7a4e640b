"""What each step of a deploy does. Every function takes the work, leaves its findings in it, and returns the step's
summary. Each is idempotent: a worker that takes over may run it again.

A *fresh* deploy makes its release from a revision; a *stored* one (a rollback, or a take-over after the release was
made) brings the objects of a release back.
"""

from __future__ import annotations

from functools import partial

from django.db import transaction

from deployments.gate.ending import kept
from deployments.models import Deploy, ObjectState, Release, compress
from deployments.pipeline.stored_preflight import preflight_stored
from deployments.pipeline.work import RowObserver, Work
from deployments.preparation import prepare
from deployments.preparation.preflight import preflight
from deployments.preparation.prepare import NotDeployable, Prepared
from engine.limits import Limits
from engine.manifests.plan import stages
from engine.manifests.stored import content_hash, from_stored, to_stored
from engine.rollout.rollout import Rollout
from engine.types import ObjectRef, Progress, RolloutResult
from projects.connections import git_repository


class ReleaseIsBad(NotDeployable):
    """The rollout ended without everything being ready."""

    def __init__(self, result: RolloutResult) -> None:
        first = result.failures[0]
        more = f" And {len(result.failures) - 1} more." if len(result.failures) > 1 else ""
        super().__init__(f"{first.sentence}{more}", hint=first.hint)
        self.result = result


def plural(count: int, word: str) -> str:
    """`1 object`, `3 objects`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


# --- a fresh deploy -------------------------------------------------------------------------------------------------


def checkout(work: Work) -> str:
    """The objects of the config directory, as written."""
    environment = work.environment
    repository = git_repository(environment.project)
    work.patiently(partial(repository.fetch, 300.0))
    work.files = prepare.files_at(environment, work.deploy.revision)
    work.documents = prepare.read(environment, work.files)
    work.log(f"{work.deploy.short} {work.deploy.subject} ({work.deploy.author})")
    work.log(f"{plural(len(work.documents), 'object')} in {environment.config_directory}")
    return f"{plural(len(work.documents), 'object')} in {environment.config_directory}"


def secrets(work: Work) -> str:
    """The current version of every secrets file; the deploy is pinned to it."""
    work.fetched = prepare.fetch_secrets(work.environment, patiently=work.patiently)
    return _tell_secrets(work)


def _tell_secrets(work: Work) -> str:
    for one in work.fetched:
        keys = sum(len(document.body.get("data") or {}) for document in one.documents)
        work.log(f"{one.path}: version {one.version_id[:8]}, {plural(keys, 'key')}")
    return plural(len(work.fetched), "secrets file") if work.fetched else "no secrets files"


def render(work: Work) -> str:
    """Images resolved to digests, variables filled in, secrets in place."""
    work.pins = prepare.resolve_images(work.environment, work.deploy.revision, patiently=work.patiently)
    for pin in work.pins:
        work.log(f"image {pin.name}: {pin.tag} is {pin.digest}")
    work.rendered = prepare.render_release(
        work.environment, work.deploy.revision, work.documents, work.fetched, work.pins, work.kinds
    )
    work.manifests = work.rendered.manifests
    return f"{plural(len(work.manifests), 'object')}, {plural(len(work.pins), 'image')}"


def check(work: Work) -> str:
    """The preflight; afterwards the release is stored."""
    if work.rendered is None:
        raise RuntimeError("Preflight comes after render.")
    prepared = Prepared(work.files, work.documents, work.fetched, work.pins, work.rendered)
    observer = RowObserver(work, work.manifests)
    found = preflight(work.client, work.kinds, work.environment, prepared, with_diff=False, observer=observer)
    for finding in found.findings:
        work.log(finding.line, level=finding.level)
    work.warnings += [finding.sentence for finding in found.warnings]
    if found.errors:
        first = found.errors[0]
        more = f" And {plural(len(found.errors) - 1, 'more problem')}." if len(found.errors) > 1 else ""
        raise NotDeployable(
            f"{first.sentence}{more}",
            problems=tuple(finding.sentence for finding in found.errors),
            hint=f"{first.hint} Nothing was changed on the cluster.".strip(),
        )
    store_release(work)
    return f"{plural(len(found.changes), 'object')} checked, {plural(len(found.warnings), 'warning')}"


def store_release(work: Work) -> None:
    """Keeps what is about to be applied: objects without secret values, digests, VersionIds."""
    deploy = work.deploy
    objects = to_stored(
        work.manifests, digest=prepare.digest, version_ids={one.path: one.version_id for one in work.fetched}
    )
    with work.fence.held(), transaction.atomic():
        deploy.release = Release.objects.create(
            environment=deploy.environment,
            revision=deploy.revision,
            subject=deploy.subject,
            author=deploy.author,
            images={
                p.name: {"repository": p.repository, "tag": p.tag, "digest": p.digest} for p in work.pins
            },
            secret_versions={one.path: one.version_id for one in work.fetched},
            objects_compressed=compress(objects),
            object_count=len(objects),
            content_hash=content_hash(objects),
            place=deploy.environment.place,
        )
        Deploy.objects.filter(pk=deploy.pk).update(release=deploy.release, warnings=kept(work.warnings))


# --- a stored release -----------------------------------------------------------------------------------------------


def stored_checkout(work: Work) -> str:
    """Only Secrets that live in Git have to be read from the revision again."""
    release = release_of(work)
    if not any(_from_git(entry) for entry in release.stored_objects):
        return "not needed: the release is stored"
    repository = git_repository(work.environment.project)
    work.patiently(partial(repository.fetch, 300.0))
    work.documents = prepare.read(work.environment, prepare.files_at(work.environment, release.revision))
    return "Secrets of the repository"


def _from_git(entry: dict) -> bool:
    return "git" in entry.get("from", {})


def stored_secrets(work: Work) -> str:
    """The very versions that the release was made with."""
    work.fetched = prepare.fetch_secrets(
        work.environment, release_of(work).secret_versions, patiently=work.patiently
    )
    return _tell_secrets(work)


def stored_render(work: Work) -> str:
    """The stored objects, with their Secrets filled in again."""
    release = release_of(work)
    work.manifests = from_stored(
        release.stored_objects,
        secrets={one.path: one.documents for one in work.fetched},
        git_documents=work.documents,
        digest=prepare.digest,
    )
    prepare.register([manifest.body for manifest in work.manifests])
    work.log(f"{plural(len(work.manifests), 'object')} of the release of {release.revision[:7]}")
    return f"{plural(len(work.manifests), 'object')} of the stored release"


def stored_check(work: Work) -> str:
    """A dry run of the stored objects, the pull secret, and that their images still exist."""
    warnings = preflight_stored(work, release_of(work))
    work.warnings += warnings
    return f"{plural(len(work.manifests), 'object')} checked, {plural(len(warnings), 'warning')}"


def release_of(work: Work) -> Release:
    """The deploy's release. A deploy that is stored has one. Raises NotDeployable when the environment moved since."""
    release = work.deploy.release
    if release is None:
        raise RuntimeError("A stored deploy has a release.")
    if not release.fits(work.environment):
        raise NotDeployable(
            f"The release was made for {release.place}, but the environment is in {work.environment.place} now.",
            hint="Deploy a revision: its objects are made for where the environment is.",
        )
    return release


# --- both -----------------------------------------------------------------------------------------------------------


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
        limits=Limits(settle=work.environment.settling.seconds),
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


def watch(work: Work, rollout: Rollout, observer: RowObserver) -> str:
    """The rollout to its end. Raises ReleaseIsBad."""
    result = rollout.wait()
    observer.flush()
    work.warnings += list(result.warnings)
    if not result.ok:
        raise ReleaseIsBad(result)
    ready = sum(1 for status in result.statuses if status.progress == Progress.READY)
    return f"{plural(ready, 'object')} ready" if ready else "nothing to wait for"
