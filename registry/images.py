"""The images of a repository as ECR last listed them: kept for some minutes, with their age, so that pages are quick and an
outage does not empty them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from django.core.cache import cache
from django.utils import timezone

from adapters.aws.ecr_images import EcrImages, ListedImage, Listing, Scan
from adapters.errors import ExternalError
from core.redactor import redact_text
from projects.allotting.using import NotAllotted, require_still
from projects.allotting.wishes import of_repository
from projects.connections import ecr_images
from projects.models import Image

FRESH, ANEW = timedelta(minutes=2), timedelta(seconds=10)
KEPT_SECONDS = 86_400
SCAN_SECONDS = 900
THREADS = 6
UNREADABLE = "UNREADABLE"


@dataclass(frozen=True)
class Known:
    """What is known of a repository. `listing`: None while it was never read; `error`: why it could not be read now."""

    listing: Listing | None
    read_at: datetime | None
    error: str = ""
    hint: str = ""


def known_images(image: Image, *, anew: bool = False) -> Known:
    """The images of an image's repository: kept ones while they are fresh, else asked of ECR, with the kept ones when it does
    not answer. `anew`: asked sooner, but not at each reload. Nothing of a repository that is not allotted any more."""
    try:
        require_still(image.project, of_repository(image.registry, image.repository))
    except NotAllotted as error:
        return Known(None, None, error.message, error.hint)
    kept: tuple[Listing, datetime] | None = cache.get(_key("list", image))
    if kept is not None and timezone.now() - kept[1] < (ANEW if anew else FRESH):
        return Known(*kept)
    try:
        listing = ecr_images(image.registry).images(image.repository)
    except ExternalError as error:
        old, read_at = kept if kept is not None else (None, None)
        return Known(old, read_at, redact_text(error.message), error.hint)
    now = timezone.now()
    cache.set(_key("list", image), (listing, now), KEPT_SECONDS)
    return Known(listing, now)


def with_scans(image: Image, shown: Sequence[ListedImage]) -> list[ListedImage]:
    """These images with their scans. Those that the listing does not tell of are asked for, some at a time. The first that fails
    ends the asking: the others would wait for the same error."""
    asked = [one for one in shown if one.scan is None and one.can_be_pulled]
    keys = {one.digest: _key(f"scan-{one.digest}", image) for one in asked}
    kept: dict[str, Scan] = cache.get_many(list(keys.values()))
    missing = [one.digest for one in asked if keys[one.digest] not in kept]
    found = _asked(image, missing)
    cache.set_many(
        {keys[digest]: scan for digest, scan in found.items() if scan.status != UNREADABLE}, SCAN_SECONDS
    )
    scans = {digest: kept.get(key) or found.get(digest) for digest, key in keys.items()}
    return [replace(one, scan=one.scan or scans.get(one.digest)) for one in shown]


def _asked(image: Image, digests: Sequence[str]) -> dict[str, Scan]:
    if not digests:
        return {}
    source = ecr_images(image.registry)
    first = _scan(source, image.repository, digests[0])
    if first.status == UNREADABLE:
        return dict.fromkeys(digests, first)
    rest = digests[1:]
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        read = partial(_scan, source, image.repository)
        tasks = [pool.submit(copy_context().run, read, digest) for digest in rest]
        return {digests[0]: first} | {digest: task.result() for digest, task in zip(rest, tasks, strict=True)}


def _scan(source: EcrImages, repository: str, digest: str) -> Scan:
    try:
        return source.scan(repository, digest)
    except ExternalError:
        return Scan(UNREADABLE)


def _key(what: str, image: Image) -> str:
    """The key in the cache: of the repository in its registry, so that a changed setting finds nothing of the old one."""
    place = f"{image.registry.pk}:{image.registry.edited}:{image.repository}"
    return f"registry-{what}-{hashlib.sha256(place.encode()).hexdigest()[:24]}"
