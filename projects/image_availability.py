"""Which commits have their images in the registry, for lists of revisions. Answers are cached, and a slow registry delays
the page by LONGEST_SECONDS at most."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.core.cache import cache

from adapters.aws.ecr import ImageFacts
from engine.errors import SlipwayError
from projects.connections import ecr
from projects.models import Image, Project

LONGEST_SECONDS = 2.0
BUILT_SECONDS = 3600.0  # images are seldom removed
NOT_BUILT_SECONDS = (
    30.0  # a build may end at any moment; a registry that did not answer is not asked again for as long
)
KEPT = 300  # commits per image

# Per image: commit → (whether the image exists, None when the registry did not answer; expiry in seconds since the epoch).
Known = dict[str, tuple[bool | None, float]]
NOT_KNOWN: tuple[bool | None, float] = (None, 0.0)
_askers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="built")


def in_registry(project: Project, shas: Sequence[str]) -> dict[str, bool | None]:
    """Whether the registry has all images of each commit: True, False, or None where it did not answer in time. Empty for a
    project without images."""
    images = list(project.images.current().select_related("registry"))
    kept = cache.get_many([key_of(image) for image in images])
    known = {image.pk: fresh(kept.get(key_of(image), {})) for image in images}
    asked: dict[Future[Known], Image] = {}
    for image in images:
        unknown = [sha for sha in shas if sha not in known[image.pk]]
        if unknown:
            asked[_askers.submit(ask, image, unknown)] = image
    wait(asked, timeout=LONGEST_SECONDS)
    for answer, image in asked.items():
        found = answer.result() if answer.done() else no_answer(shas, known[image.pk])
        known[image.pk] = {**known[image.pk], **found}
        cache.set(key_of(image), dict(list(known[image.pk].items())[-KEPT:]), BUILT_SECONDS)
    return {
        sha: all_there([answers.get(sha, NOT_KNOWN)[0] for answers in known.values()])
        for sha in shas
        if known
    }


def all_there(answers: Sequence[bool | None]) -> bool | None:
    """True when all are True, False when one is False, else None."""
    if False in answers:
        return False
    return None if None in answers else True


def images_by_tag(image: Image, tags: Sequence[str], *, hasty: bool = False) -> dict[str, ImageFacts]:
    """The tags of `tags` that the image's repository has, with digest and status. Raises ExternalError."""
    return ecr(image.registry, hasty=hasty).digests(image.repository, tags)


def images_of_revision(found: Mapping[str, ImageFacts], sha: str) -> dict[str, ImageFacts]:
    """Of what a registry has, the images of a revision by its short and full tag, without one that is another revision's."""
    return {tag: found[tag] for tag in (sha[:7], sha) if tag in found and found[tag].may_be_of(sha)}


def ask(image: Image, shas: Sequence[str]) -> Known:
    """Asks the registry for one image's tags of these commits. Runs in a thread, without the database. Raises nothing from
    outside."""
    now = time.time()
    try:
        found = images_by_tag(image, [tag for sha in shas for tag in (sha[:7], sha)], hasty=True)
    except SlipwayError:
        return no_answer(shas, {})
    there = {sha: any(one.can_be_pulled for one in images_of_revision(found, sha).values()) for sha in shas}
    return {
        sha: (is_there, now + (BUILT_SECONDS if is_there else NOT_BUILT_SECONDS))
        for sha, is_there in there.items()
    }


def no_answer(shas: Iterable[str], known: Known) -> Known:
    """Entries "no answer" for commits without one: until they expire, pages do not wait for the registry again."""
    until = time.time() + NOT_BUILT_SECONDS
    return {sha: (None, until) for sha in shas if sha not in known}


def fresh(known: Known) -> Known:
    """The entries that have not expired."""
    now = time.time()
    return {sha: entry for sha, entry in known.items() if entry[1] > now}


def key_of(image: Image) -> str:
    """The cache key of an image. It contains the image's place, so that a new registry or repository starts empty."""
    place = f"{image.registry_id} {image.registry.endpoint} {image.registry.region} {image.registry.account} {image.repository}"
    return f"built-{image.pk}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
