"""How revisions stand: building, failed, ready, or without an image. For lists of revisions to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from builds.models import Build
from projects.models import Project
from runs.models import State


@dataclass(frozen=True)
class Standing:
    """How a revision stands. `look`: name of the look of the state (ui.states), with `word`; `build`: the newest build of it, or
    None; `lacks`: images are missing and none is being built, so that a build helps."""

    look: str
    word: str
    build: Build | None = None
    lacks: bool = False

    @property
    def said(self) -> str:
        """The end of a sentence that begins with "The images of …"."""
        return SAID[self.look]


SAID = {
    "queued": "wait to be built", "building": "are being built", "ready": "are in the registry",
    "failed": "are not there: their build failed", "not_built": "are not built",
}  # fmt: skip
NO_FAILURE = (State.SUCCEEDED, State.CANCELLED, State.SUPERSEDED)
# The registry's answer may be as old as that (projects/image_availability.py).
JUST_BUILT = timedelta(seconds=60)


def newest_builds(project: Project, revisions: Sequence[str]) -> dict[str, Build]:
    """The newest build of each revision, without big columns. One query."""
    rows = Build.objects.filter(project=project, revision__in=list(revisions)).order_by("number")
    found = rows.only("number", "state", "revision", "ended_at", "project_id")
    return {build.revision: build for build in found}


def standings(
    project: Project, revisions: Sequence[str], in_registry: Mapping[str, bool | None]
) -> dict[str, Standing]:
    """How each revision stands; those of which nothing is known are left out.

    `in_registry`: whether the registry has all images of a revision; None, or left out: it did not answer.
    """
    builds = newest_builds(project, revisions)
    found = {sha: standing(builds.get(sha), in_registry.get(sha)) for sha in revisions}
    return {sha: one for sha, one in found.items() if one is not None}


def standing(build: Build | None, in_registry: bool | None) -> Standing | None:
    """How a revision with this newest build stands. The registry's answer counts for more than a build that ended."""
    if build is not None and build.is_open:
        if build.is_active:
            return Standing("building", "Building", build)
        return Standing("queued", "Build queued", build)
    succeeded = build is not None and build.state == State.SUCCEEDED
    if in_registry or (succeeded and (in_registry is None or just_ended(build))):
        return Standing("ready", "Ready", build)
    if build is not None and build.state not in NO_FAILURE:
        return Standing("failed", "Build failed", build, lacks=True)
    return Standing("not_built", "No image", build, lacks=True) if in_registry is False else None


def just_ended(build: Build | None) -> bool:
    """Whether the build ended after the registry may have been asked."""
    return build is not None and build.ended_at is not None and timezone.now() - build.ended_at < JUST_BUILT


def build_of(project_id: int, revision: str) -> Build | None:
    """The build that made a revision's images: the newest that succeeded, else the newest. One query."""
    rows = Build.objects.filter(project=project_id, revision=revision).order_by("-number")
    found = list(rows.only("number", "state", "revision", "project_id"))
    return next((build for build in found if build.state == State.SUCCEEDED), found[0] if found else None)
