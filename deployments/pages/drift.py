"""Finds out which release a cluster runs, from the images of its workloads. Without queries or calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.models import Deploy, Release
from engine.manifests.images import ImageReference, parse_reference
from ui.states import look


@dataclass(frozen=True)
class Part:
    """Workloads that run the same: `release` and the deploy that brought it, or None; then `image` in short."""

    names: tuple[str, ...]
    release: Release | None
    deploy: Deploy | None
    image: str = ""

    @property
    def runs(self) -> str:
        """What they run: a short revision, or an image."""
        return self.release.revision[:7] if self.release else self.image

    @property
    def text(self) -> str:
        """`web, worker 625c2ff`."""
        more = f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        return f"{', '.join(self.names[:3])}{more} {self.runs}"


@dataclass(frozen=True)
class LiveRevision:
    """The release that a cluster runs.

    `release`: the release whose images run, or None. `compared`: whether there were images to compare. `differs`: running
    images that the first of the compared releases does not have. `held`: a workload that does not replace its pods by itself.
    `parts`: what each workload runs.
    """

    release: Release | None
    compared: bool
    differs: tuple[str, ...] = ()
    held: str = ""
    parts: tuple[Part, ...] = ()


def live_revision(
    workloads: Sequence[Mapping[str, Any]], releases: Sequence[Release], deploys: Sequence[Deploy] = ()
) -> LiveRevision:
    """The first of `releases` whose images are those of the portal's workloads.

    `workloads`: as in LiveState. Only workloads with the portal's label count, and only images from repositories of one of
    the releases: a sidecar does not depend on the revision. `releases`: the one that should run comes first; not empty.
    """
    ours = {pin["repository"] for release in releases for pin in release.images.values()}
    shown = {
        reference: parse_reference(reference) for workload in workloads for reference in images_of(workload)
    }
    shown = {text: image for text, image in shown.items() if image.repository in ours}
    if not shown:
        return LiveRevision(None, compared=False)
    held = next((str(w["name"]) for w in workloads if w.get("health") == "suspended"), "")
    differs = tuple(text for text, image in shown.items() if not fits(image, releases[0]))
    runs = next((one for one in releases if all(fits(image, one) for image in shown.values())), None)
    return LiveRevision(runs, True, differs, held, parts_of(workloads, releases, deploys))


def fits(image: ImageReference, release: Release) -> bool:
    """Whether the release has this image: compared by digest where both have one, else by tag."""
    for pin in release.images.values():
        if pin["repository"] == image.repository:
            if pin.get("digest") and image.digest:
                return pin["digest"] == image.digest
            return bool(image.tag) and pin.get("tag") == image.tag
    return False


def parts_of(
    workloads: Sequence[Mapping[str, Any]], releases: Sequence[Release], deploys: Sequence[Deploy]
) -> tuple[Part, ...]:
    """What each of the portal's workloads runs; those with the same release are one part. Workloads without an image of the
    releases' repositories depend on no revision and are left out. `releases`: as for `live_revision`; `deploys`: those
    that brought some of them, the newest first."""
    ours = {pin["repository"] for release in releases for pin in release.images.values()}
    names: dict[tuple[int, str], list[str]] = {}
    for workload in workloads:
        mine = [text for text in images_of(workload) if parse_reference(text).repository in ours]
        if mine:
            place = next(
                (n for n, one in enumerate(releases) if all(fits(parse_reference(i), one) for i in mine)), -1
            )
            names.setdefault((place, "" if place >= 0 else short_image(mine[0])), []).append(
                str(workload["name"])
            )
    return tuple(
        _part(found, releases[place] if place >= 0 else None, deploys, image)
        for (place, image), found in names.items()
    )


def _part(names: Sequence[str], release: Release | None, deploys: Sequence[Deploy], image: str) -> Part:
    brought = next((deploy for deploy in deploys if release is not None and deploy.release == release), None)
    return Part(tuple(names), release, brought, image)


def images_of(workload: Mapping[str, Any]) -> Sequence[str]:
    """The images that serve in one of the portal's workloads; none for a workload of others."""
    if not workload.get("managed", True):
        return ()
    return workload.get("serves") or workload.get("images", ())


def what_runs(
    good: Deploy | None, trouble: Deploy | None, active: Deploy | None, found: LiveRevision | None
) -> tuple[Release | None, str, bool]:
    """The release that runs; a sentence when it is not the last deployed one, else empty; and whether the difference was
    made outside the portal."""
    deployed = good.release if good else None
    if active is not None or found is None or not found.compared or (deployed and found.release == deployed):
        return deployed, "", False
    should = f"deployed is {deployed.revision[:7]}" if deployed else "nothing was deployed successfully"
    if trouble is not None and trouble.release is not None and _is_of(found, trouble.release, deployed):
        ended, parts = look(trouble.state).word.lower(), ", ".join(part.text for part in found.parts)
        mixed = f": {parts}" if found.release is None else ""
        return (
            found.release or deployed,
            f"Left by deploy #{trouble.number} ({ended}){mixed}; {should}.",
            False,
        )
    cause = (
        f"{found.held} does not replace its pods by itself" if found.held else "Changed outside the portal"
    )
    outside = not found.held
    if found.release is not None:
        runs = f"the cluster runs {found.release.revision[:7]}"
        return found.release, f"{cause}: {runs}, {should}.", outside
    images = ", ".join(short_image(image) for image in found.differs[:3])
    more = f" and {len(found.differs) - 3} more" if len(found.differs) > 3 else ""
    return deployed, f"{cause}: the cluster runs {images}{more}; {should}.", outside


def _is_of(found: LiveRevision, left: Release, deployed: Release | None) -> bool:
    """Whether only these two releases run, or ones between them, which other deploys left that failed, and the first does at
    least in part."""
    running = [part.release for part in found.parts] or [found.release]
    return left in running and all(
        release is not None and _is_between(release, deployed, left) for release in running
    )


def _is_between(release: Release, deployed: Release | None, left: Release) -> bool:
    """Whether the release is one of the two, or was made between them."""
    return release in (left, deployed) or (deployed.pk if deployed else 0) < release.pk < left.pk


def short_image(reference: str) -> str:
    """`web:63ec5c0` for `host/shop/web:63ec5c0@sha256:…`; without a tag the digest's first characters."""
    image = parse_reference(reference)
    name = image.repository.rpartition("/")[2]
    if image.tag or not image.digest:
        return f"{name}:{image.tag}" if image.tag else name
    return f"{name}@{image.digest[7:14]}"
