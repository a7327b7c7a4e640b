"""The step `tags`: images that are in the registry get the tags that follow branches and tags of Git.

The engine pushes only the revision's own tags. These are given in the registry, by its manifest, so that nothing is sent again;
and by one build of a project at a time, because a look at what a tag names and its move are two calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from adapters.aws.ecr import REVISION, Ecr, ImageFacts
from adapters.aws.ecr_repositories import EcrRepositories
from adapters.errors import Conflict, ExternalError
from adapters.git.repository import GitRepository
from builds.models import Build, BuiltImage
from builds.pipeline.making import PAUSES
from builds.pipeline.moving import MOST_REFS, Heads, read_heads, wanted_refs, why_not
from builds.pipeline.work import Work
from builds.pushed import DONE
from builds.tags import RefTag, left_out, tags_of_refs
from core.scheduler import release_lease, take_lease
from projects.connections import ecr, ecr_repositories, git_repository
from runs.life.attempt import LOOK_SECONDS

FETCH_SECONDS = 30.0
LEASE_SECONDS = 180  # renewed for each image


@dataclass(frozen=True)
class Place:
    """An image in its registry."""

    name: str
    repository: str
    digest: str
    ecr: Ecr
    repositories: EcrRepositories


@dataclass
class Given:
    """What became of the tags of an image. `alone`: why tags were left alone, by tag; `kept`: those that the repository keeps."""

    tags: list[str] = field(default_factory=list)
    alone: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)


def give_tags(work: Work) -> str:
    """Gives the images their tags. Returns the summary. Raises ExternalError (the registry), and as `Attempt.check`."""
    given, alone = list[str](), dict[str, str]()
    with turn(work) as renew:
        repository = git_repository(work.project)
        heads = work.patiently(partial(read_heads, repository, timeout=FETCH_SECONDS))
        refs = meant(work, heads)
        tags = tags_of_refs(refs, work.project.default_branch)
        for row in work.build.images.filter(state__in=DONE).select_related("registry"):
            if row.registry is None:
                continue
            renew()
            place = Place(
                row.name, row.reference.partition("/")[2], row.digest, ecr(row.registry), ecr_repositories(row.registry)
            )  # fmt: skip
            found = trying(work, partial(tag_image, place, tags, work.build.revision, repository, heads))
            write(work, row, found)
            given += found.tags
            alone |= found.alone
    for sentence in sentences(alone):
        work.warnings.append(sentence)
        work.log(sentence, level="warning")
    return ", ".join(dict.fromkeys(given)) or "none"


def meant(work: Work, heads: Heads) -> list[str]:
    """The refs whose tags are meant, written into the build's row: what asks for it after that is built once more."""
    with work.fence.held():
        asked = Build.objects.get(pk=work.build.pk).refs
        refs = wanted_refs(asked, heads, work.build.revision, work.project.default_branch)
        Build.objects.filter(pk=work.build.pk).update(tagged_for=list(dict.fromkeys([*refs, *asked])))
    for name in left_out(refs):
        work.log(f"The Git tag {name} is no tag of the images: it would be taken for another one")
    if len(refs) == MOST_REFS:
        work.log(
            f"Many branches and tags lead to {work.build.short}; the images get the tags of {MOST_REFS}",
            level="warning",
        )
    return refs


def write(work: Work, row: BuiltImage, given: Given) -> None:
    """Writes the tags of an image."""
    with work.fence.held():
        fresh = BuiltImage.objects.get(pk=row.pk)
        fresh.tags = list(dict.fromkeys([*fresh.tags, *given.tags]))
        fresh.save(update_fields=["tags"])
    for tag in given.kept:
        work.log(f"The tag {tag} stays with an older image: {row.reference} keeps its tags", level="warning")


def sentences(alone: Mapping[str, str]) -> list[str]:
    """What the build's page and log say of tags that were left alone: one sentence for each reason."""
    by_reason = dict[str, list[str]]()
    for tag, reason in alone.items():
        by_reason.setdefault(reason, []).append(tag)
    return [f"{_these(tags)} left alone: {reason}" for reason, tags in by_reason.items()]


def _these(tags: Sequence[str]) -> str:
    return f"The tag {tags[0]} was" if len(tags) == 1 else f"The tags {', '.join(tags)} were"


def trying(work: Work, function: Callable[[], Given]) -> Given:
    """Calls `function` in a thread, and again after a pause when the registry failed in a way that may pass."""
    for pause in PAUSES:
        try:
            return work.patiently(function)
        except ExternalError as error:
            if error.permanent:
                raise
            work.log(f"{error.message} Tried again in {pause:.0f} s.", level="warning")
            pause_for(work, pause)
    return work.patiently(function)


def pause_for(work: Work, seconds: float) -> None:
    """Waits. Raises as `Attempt.check`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        work.check()
        time.sleep(min(LOOK_SECONDS, seconds))


@contextmanager
def turn(work: Work) -> Iterator[Callable[[], None]]:
    """Waits until no other build of the project moves tags. Gives what renews the turn. Raises as `Attempt.check`."""
    name, holder = f"tags-{work.project.pk}", str(work.build.run_id)
    while not take_lease(name, holder, LEASE_SECONDS):
        pause_for(work, LOOK_SECONDS)

    def renew() -> None:
        work.check()
        take_lease(name, holder, LEASE_SECONDS)

    try:
        yield renew
    finally:
        release_lease(name, holder)


def tag_image(
    place: Place, tags: Sequence[RefTag], revision: str, repository: GitRepository, heads: Heads
) -> Given:
    """Gives one image its tags. Uses no database: called in a thread. Raises ExternalError."""
    given = Given()
    known = place.ecr.digests(place.repository, [one.tag for one in tags]) if tags else {}
    for one in tags:
        now = known.get(one.tag)
        if now is not None and now.digest == place.digest:
            given.tags.append(one.tag)
        elif reason := why_not(repository, heads, one, revision, holders(now)):
            given.alone[one.tag] = reason
        elif moved(place, one.tag):
            given.tags.append(one.tag)
        else:
            given.kept.append(one.tag)
    return given


def moved(place: Place, tag: str) -> bool:
    """Gives an image a tag, also one that another image has. False where the repository keeps its tags. Raises ExternalError."""
    try:
        place.repositories.add_tag(place.repository, place.digest, tag)
    except Conflict:
        return False
    return True


def holders(now: ImageFacts | None) -> list[str]:
    """The revisions whose tags an image has."""
    return [tag for tag in now.tags if REVISION.fullmatch(tag)] if now else []
