"""Takes the report of a build that another tool made. The registry must have its images; then they count as if built here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from adapters.aws.ecr import ImageFacts
from adapters.errors import Invalid, NotFound
from adapters.git.repository import Commit
from audit.actors import Actor
from builds.kind import BUILD
from builds.life import LIFE
from builds.models import Build, BuiltImage
from builds.pushes import BRANCH
from builds.requests import require_deployer
from core.errors import Refused
from projects import connections
from projects.current import NOT_ARCHIVED
from projects.leaving.locking import lock_project
from projects.models import Image, Project
from projects.picking import has_commit, named
from runs.life import opening
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import OPEN, State

FRESH_SECONDS, FETCH_SECONDS = 10.0, 60.0
MOST_HEADS = 20
LONGEST_BRANCH = 200


@dataclass(frozen=True)
class Seen:
    """An image as the registry has it: the revision's tags, and what they lead to."""

    image: Image
    tags: Sequence[str]
    facts: ImageFacts


@dataclass(frozen=True)
class Report:
    """The result. `is_new` is False when the same images were reported before."""

    build: Build
    is_new: bool


def report_build(
    actor: Actor, project: Project, revision: str, digests: Mapping[str, str], branch: str = ""
) -> Report:
    """Writes a build that has succeeded. `revision`: a commit, branch or tag; `digests`: by the image's name, those that the
    other tool pushed; empty: all images of the project, whatever their digests. `branch`: the one that was built; without it
    those count whose head the commit is.

    Raises Refused (role, unknown-revision, unknown-branch, unknown, no-images, no-image, busy), ExternalError.
    """
    require_deployer(actor, project)
    images = images_named(project, digests)
    commit, heads = resolved(project, revision, branch)
    seen = [look_up(image, commit, digests.get(image.name, "")) for image in images]
    if known := same_report(project, commit, seen, branch):
        return Report(known, is_new=False)
    try:
        with transaction.atomic():
            lock_project(project)
            return Report(_write(actor, project, commit, seen, branch, heads), is_new=True)
    except IntegrityError:
        raise _busy(project, commit) from None


def images_named(project: Project, digests: Mapping[str, str]) -> list[Image]:
    """The images of these names; all for none. Raises Refused (unknown, no-images)."""
    images = list(project.images.filter(NOT_ARCHIVED).select_related("registry"))
    if not images:
        raise Refused(f"{project} has no image.", hint="Add one in the project's settings.", code="no-images")
    known = {image.name: image for image in images}
    for name in digests:
        if name not in known:
            raise Refused(
                f"{project} has no image {name}.", hint=f"It has {', '.join(known)}.", code="unknown"
            )
    return [image for image in images if not digests or image.name in digests]


def resolved(project: Project, revision: str, branch: str) -> tuple[Commit, list[str]]:
    """The commit of a revision, and the branches whose head it is. Raises Refused (unknown-revision; a branch that does not have
    the commit: unknown-branch), ExternalError."""
    repository = connections.git_repository(project)
    repository.fetch(FRESH_SECONDS, timeout=FETCH_SECONDS)
    try:
        commit = named(repository, revision)
    except (NotFound, Invalid) as error:
        raise Refused(error.message, hint=error.hint, code="unknown-revision") from error
    if branch and (len(branch) > LONGEST_BRANCH or not has_commit(repository, branch, commit)):
        raise Refused(
            f"The repository has no branch {branch[:80]} with {commit.short}.", hint="Was it pushed?", code="unknown-branch"
        )  # fmt: skip
    heads = [one.name for one in repository.branches() if one.commit.sha == commit.sha]
    return commit, sorted(heads, key=lambda name: (name != project.default_branch, name))[:MOST_HEADS]


def look_up(image: Image, commit: Commit, digest: str) -> Seen:
    """The image in its registry under the revision's tag, full or short. Raises Refused (no-image), ExternalError."""
    place = f"{image.repository} of {image.registry}"
    try:
        found = connections.ecr(image.registry).digests(image.repository, [commit.sha, commit.short])
    except NotFound as error:
        raise Refused(error.message, hint=error.hint, code="no-image") from error
    tags = [tag for tag in (commit.sha, commit.short) if tag in found and found[tag].may_be_of(commit.sha)]
    if not tags:
        raise Refused(
            f"There is no tag {commit.short} in {place}.",
            hint="Push the image with the short or the full revision as its tag, then report it.",
            code="no-image",
        )
    facts = found[tags[0]]
    if digest and digest != facts.digest:
        raise Refused(
            f"The tag {tags[0][:12]} in {place} leads to {facts.digest}, not to {digest}.", code="no-image"
        )
    return Seen(image, tags, facts)


def same_report(project: Project, commit: Commit, seen: Sequence[Seen], branch: str) -> Build | None:
    """The newest report of the revision, if it has the same images, and the branch where one is told."""
    rows = Build.objects.filter(project=project, revision=commit.sha, cause=Build.Cause.REPORT)
    build = rows.order_by("-number").first()
    if build is None or (branch and branch not in build.branches):
        return None
    told = dict(build.images.values_list("name", "digest"))
    return build if told == {one.image.name: one.facts.digest for one in seen} else None


def _busy(project: Project, commit: Commit) -> Refused:
    open_one = Build.objects.filter(project=project, revision=commit.sha, state__in=OPEN).first()
    name = f"Build {open_one.number}" if open_one else "Another build"
    return Refused(f"{name} of {commit.short} has not ended.", hint="Wait for its end.", code="busy")


def _write(
    actor: Actor, project: Project, commit: Commit, seen: Sequence[Seen], branch: str, heads: Sequence[str]
) -> Build:
    build = opening.create(
        BUILD, actor, (), project=project, revision=commit.sha, subject=commit.subject[:300], author=commit.author[:150],
        cause=Build.Cause.REPORT, branch=branch or branch_of(project, heads), tagged_for=[f"{BRANCH}{name}" for name in heads],
    )  # fmt: skip
    BuiltImage.objects.bulk_create(_row(build, place, one) for place, one in enumerate(seen))
    BUILD.audit(actor, "build.requested", build)
    count = f"{len(seen)} image{'s' if len(seen) != 1 else ''}"
    write_end(LIFE, build, End(State.SUCCEEDED, f"Built elsewhere: {count} found in the registry."))
    return build


def branch_of(project: Project, heads: Sequence[str]) -> str:
    """The branch under which a report is listed: the default branch if the revision is its head, else the only branch whose head
    it is."""
    if project.default_branch in heads:
        return project.default_branch
    return heads[0] if len(heads) == 1 and len(heads[0]) <= LONGEST_BRANCH else ""


def _row(build: Build, position: int, seen: Seen) -> BuiltImage:
    return BuiltImage(
        build=build, image=seen.image, registry=seen.image.registry, name=seen.image.name, position=position,
        reference=seen.image.reference, dockerfile=seen.image.dockerfile, context=seen.image.context,
        state=BuiltImage.State.SUCCEEDED, sentence="Built elsewhere.", tags=list(seen.tags),
        digest=seen.facts.digest, size=seen.facts.size,
    )  # fmt: skip
