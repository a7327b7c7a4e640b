"""Which release a cluster really runs, told from the images of its workloads. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.models import Deploy, Release
from engine.manifests.images import ImageReference, parse_reference
from ui.states import look


@dataclass(frozen=True)
class LiveRevision:
    """`release`: the one whose images run, or None. `compared`: whether there was anything to compare.

    `differs`: images that run and are not those of the first release asked about. `held`: a workload that does not replace
    its pods by itself.
    """

    release: Release | None
    compared: bool
    differs: tuple[str, ...] = ()
    held: str = ""


def live_revision(workloads: Sequence[Mapping[str, Any]], releases: Sequence[Release]) -> LiveRevision:
    """The first of `releases` whose images are those of our workloads.

    `workloads`: as in LiveState. Only workloads with our label count, and of their images only those of repositories that
    one of the releases fills: a sidecar says nothing about the revision. Put the release that should run first.
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
    """Whether the release pins this very image: by digest where both have one, else by tag."""
    for pin in release.images.values():
        if pin["repository"] == image.repository:
            if pin.get("digest") and image.digest:
                return pin["digest"] == image.digest
            return bool(image.tag) and pin.get("tag") == image.tag
    return False


def what_runs(
    good: Deploy | None, trouble: Deploy | None, active: Deploy | None, found: LiveRevision | None
) -> tuple[Release | None, str, bool]:
    """The release that runs; why it is not the one deployed last, or empty; and whether that came from outside."""
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
    """`web:63ec5c0` for `host/shop/web:63ec5c0@sha256:…`; without a tag the digest's first signs."""
    image = parse_reference(reference)
    name = image.repository.rpartition("/")[2]
    if image.tag or not image.digest:
        return f"{name}:{image.tag}" if image.tag else name
    return f"{name}@{image.digest[7:14]}"
