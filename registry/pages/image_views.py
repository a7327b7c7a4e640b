"""The images of a repository: tags, age, where they run, and what scans found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from adapters.aws.ecr_images import NOT_SCANNED, SEVERITIES, ListedImage, Scan
from projects.access import project_for
from projects.lookup import image_of
from projects.models import Environment, Image, Project
from registry import images, in_use

PAGE = 25
WORDS = {
    NOT_SCANNED: "not scanned", "IN_PROGRESS": "scan in progress", "PENDING": "scan in progress", "FAILED": "scan failed",
    "UNSUPPORTED_IMAGE": "cannot be scanned", "SCAN_ELIGIBILITY_EXPIRED": "no longer scanned",
    "FINDINGS_UNAVAILABLE": "findings not available", "IMAGE_ARCHIVED": "not scanned: archived",
    "IMAGE_SIZE_EXCEEDED": "too large to scan", "LIMIT_EXCEEDED": "limit of scans reached",
    images.UNREADABLE: "not readable now",
}  # fmt: skip
TONES = {"CRITICAL": "failed", "HIGH": "failed", "MEDIUM": "warning"}


@dataclass(frozen=True)
class Line:
    """One image. `runs_in`: where it runs, as the clusters last said; `deployed_to`: where it was deployed last, and the cluster
    did not say that it runs. `findings`: severity, number and tone, the worst first; `scan_words`: instead, where a scan has
    none to tell."""

    image: ListedImage
    runs_in: tuple[Environment, ...]
    deployed_to: tuple[Environment, ...]

    @property
    def findings(self) -> list[tuple[str, int, str]]:
        """The counts of a scan that counts."""
        scan = self.image.scan
        if scan is None or not scan.is_done:
            return []
        order = [*SEVERITIES, *sorted(set(scan.counts) - {*SEVERITIES})]
        found = [(name, scan.counts[name]) for name in order if scan.counts.get(name)]
        return [(name.lower(), number, TONES.get(name, "")) for name, number in found]

    @property
    def scan_words(self) -> str:
        """What is to be said of a scan without findings."""
        return scan_words(self.image.scan, archived=not self.image.can_be_pulled)


def scan_words(scan: Scan | None, *, archived: bool = False) -> str:
    """A scan's state in words; empty for one with findings."""
    if scan is None:
        return "not scanned: archived" if archived else "not scanned"
    if scan.is_done:
        return "" if any(scan.counts.values()) else "nothing found"
    return WORDS.get(scan.status, scan.status.replace("_", " ").lower())


@require_safe
def image(request: HttpRequest, project: str, name: str) -> HttpResponse:
    """GET: the images of one repository, newest first; `?before=<digest>` those after that one. Asks ECR at most every two
    minutes, with short time limits; what it said last stays readable."""
    owner = project_for(request.user, project)
    shown = image_of(owner, name)
    known = images.known_images(shown, anew="anew" in request.GET)
    listed = known.listing.images if known.listing else ()
    start = _start(listed, request.GET.get("before", ""))
    page = images.with_scans(shown, listed[start : start + PAGE])
    context = {
        "project": owner, "image": shown, "known": known, "lines": _lines(owner, shown, page), "total": len(listed),
        "digests": [one.digest for one in page],
        "first": start + 1, "last": start + len(page),
        "older": f"?before={page[-1].digest}" if page and start + PAGE < len(listed) else "",
    }  # fmt: skip
    return render(request, "registry/image.html", context)


def _start(listed: Sequence[ListedImage], before: str) -> int:
    """Where the page begins: after the named image; at the newest for one that is no longer there."""
    return next((at + 1 for at, one in enumerate(listed) if one.digest == before), 0)


def _lines(project: Project, shown: Image, page: Iterable[ListedImage]) -> list[Line]:
    rows = (
        Environment.objects.current().filter(project=project).select_related("live").order_by("order", "slug")
    )
    running = {place: _used(place, shown.reference) for place in rows}
    released = in_use.deployed(project, shown.reference)
    return [_line(one, running, released) for one in page]


def _line(
    image: ListedImage, running: Mapping[Environment, set[str]], released: Mapping[int, set[str]]
) -> Line:
    names = {image.digest, *image.tags}
    runs_in = tuple(place for place, used in running.items() if used & names)
    deployed_to = (
        place for place in running if place not in runs_in and released.get(place.pk, set()) & names
    )
    return Line(image, runs_in, tuple(deployed_to))


def _used(place: Environment, reference: str) -> set[str]:
    """The tags and digests of a repository that run in an environment, as its cluster last said."""
    live: Any = getattr(place, "live", None)
    names = [name for workload in (live.workloads if live else []) for name in workload.get("images", ())]
    found: set[str] = set()
    for name in names:
        repository, _, digest = name.partition("@")
        tagged, _, tag = repository.rpartition(":")
        if repository == reference and digest:
            found.add(digest)
        elif tagged == reference:
            found |= {tag, digest} if digest else {tag}
    return found
