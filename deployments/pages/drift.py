"""Finds out which release a cluster runs, from the images of its workloads. Without queries or calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.models import Deploy, Release
from engine.manifests.images import ImageReference, parse_reference
from ui.states import look


@dataclass(frozen=True)
class LiveRevision:
    """The release that a cluster runs.

    `release`: the release whose images run, or None. `compared`: whether there were images to compare. `differs`: running
    images that the first of the compared releases does not have. `held`: a workload that does not replace its pods by itself.
    """

    release: Release | None
    compared: bool
    differs: tuple[str, ...] = ()
    held: str = ""


def live_revision(workloads: Sequence[Mapping[str, Any]], releases: Sequence[Release]) -> LiveRevision:
    """The first of `releases` whose images are those of the portal's workloads.

    `workloads`: as in LiveState. Only workloads with the portal's label count, and only images from repositories of one of
    the releases: a sidecar does not depend on the revision. `releases`: the one that should run comes first; not empty.
    """
    ours = {pin["repository"] for release in releases for pin in release.images.values()}
    shown = {
        reference: parse_reference(reference)
        for workload in workloads
        if workload.get("managed", True)
        for reference in workload.get("images", ())
    }
    shown = {text: image for text, image in shown.items() if image.repository in ours}
    if not shown:
        return LiveRevision(None, compared=False)
    held = next((str(w["name"]) for w in workloads if w.get("health") == "suspended"), "")
    differs = tuple(text for text, image in shown.items() if not fits(image, releases[0]))
    for release in releases:
        if all(fits(image, release) for image in shown.values()):
            return LiveRevision(release, compared=True, differs=differs, held=held)
    return LiveRevision(None, compared=True, differs=differs, held=held)


def fits(image: ImageReference, release: Release) -> bool:
    """Whether the release has this image: compared by digest where both have one, else by tag."""
    for pin in release.images.values():
        if pin["repository"] == image.repository:
            if pin.get("digest") and image.digest:
                return pin["digest"] == image.digest
            return bool(image.tag) and pin.get("tag") == image.tag
    return False


def what_runs(
    good: Deploy | None, trouble: Deploy | None, active: Deploy | None, found: LiveRevision | None
) -> tuple[Release | None, str, bool]:
    """The release that runs; a sentence when it is not the last deployed one, else empty; and whether the difference was
    made outside the portal."""
    deployed = good.release if good else None
    if active is not None or found is None or not found.compared or (deployed and found.release == deployed):
        return deployed, "", False
    should = f"deployed is {deployed.revision[:7]}" if deployed else "nothing was deployed successfully"
    if trouble is not None and trouble.release is not None and found.release == trouble.release:
        ended = look(trouble.state).word.lower()
        return found.release, f"Left by deploy #{trouble.number} ({ended}); {should}.", False
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


def short_image(reference: str) -> str:
    """`web:63ec5c0` for `host/shop/web:63ec5c0@sha256:…`; without a tag the digest's first characters."""
    image = parse_reference(reference)
    name = image.repository.rpartition("/")[2]
    if image.tag or not image.digest:
        return f"{name}:{image.tag}" if image.tag else name
    return f"{name}@{image.digest[7:14]}"
