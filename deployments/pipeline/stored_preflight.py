"""The preflight of a stored release: less to check than for a fresh one, since it was checked when it was made."""

from __future__ import annotations

from deployments.models import Release
from deployments.pipeline.work import RowObserver, Work
from deployments.preparation.preflight import change_findings, check_pull_secret, check_references
from deployments.preparation.prepare import NotDeployable, digest
from engine.cluster.dryrun import dry_run
from engine.manifests.render import ImagePin
from projects.connections import ecr


def pins_of(release: Release) -> list[ImagePin]:
    """The images that the release was made with."""
    return [ImagePin(name=name, **image) for name, image in release.images.items()]


def missing_images(work: Work, pins: list[ImagePin]) -> list[str]:
    """Images that the registry no longer holds (a lifecycle policy may have removed a rollback target)."""
    images = {image.name: image for image in work.environment.project.images.select_related("registry")}
    missing = []
    for pin in pins:
        image = images.get(pin.name)
        if image is None or image.reference != pin.repository:
            continue  # the project builds it no more; the cluster pulls it from where the release says
        if pin.tag not in ecr(image.registry).digests(image.repository, [pin.tag]):
            missing.append(f"{pin.repository}:{pin.tag}")
    return missing


def preflight_stored(work: Work, release: Release) -> list[str]:
    """The warnings. Raises NotDeployable with the first problem; nothing was changed then."""
    pins = pins_of(release)
    missing = missing_images(work, pins)
    if missing:
        raise NotDeployable(
            f"The registry no longer holds {', '.join(missing)}; the release cannot be put in place again.",
            problems=tuple(missing),
            hint="Nothing was changed on the cluster. Deploy a revision whose images exist.",
        )
    known = {image.name: image for image in work.environment.project.images.select_related("registry")}
    changes = dry_run(
        work.client,
        work.manifests,
        kinds=work.kinds,
        digest=digest,
        with_diff=False,
        observer=RowObserver(work, work.manifests),
    )
    findings = [
        *check_references(work.client, work.manifests),
        *check_pull_secret(work.client, work.environment, [p for p in pins if p.name in known], known),
        *change_findings(changes),
    ]
    for finding in findings:
        work.log(finding.line, level=finding.level)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise NotDeployable(
            errors[0].sentence,
            problems=tuple(finding.sentence for finding in errors),
            hint=f"{errors[0].hint} Nothing was changed on the cluster.".strip(),
        )
    return [finding.sentence for finding in findings]
