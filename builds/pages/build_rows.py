"""Builds as lines of a list, for templates. Load the builds with `light`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from adapters.git.repository import commit_url
from builds.models import Build, BuiltImage
from builds.pushed import DONE
from runs.models import State

WORDS = {
    State.RUNNING: "building",
    State.FAILED: "build_failed",
}  # looks that say more than the state of a run


def state_of(build: Build) -> str:
    """The name of the look of a build's state (ui.states)."""
    return WORDS.get(State(build.state), build.state)


def light(builds: QuerySet[Build]) -> QuerySet[Build]:
    """Builds with only the columns and relations that a line needs; one more query loads their images."""
    images = BuiltImage.objects.only("build_id", "name", "state", "position")
    rows = builds.select_related("project", "delivery", "retry_of", "superseded_by")
    return rows.only(
        "number", "run_id", "state", "revision", "subject", "author", "branch", "cause", "result", "actor_kind",
        "actor_text", "created_at", "started_at", "ended_at", "project__slug", "project__name",
        "project__repository_url", "project__archived_at",
        "delivery__sender", "retry_of__number", "superseded_by__number", "superseded_by__revision",
    ).prefetch_related(Prefetch("images", queryset=images))  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One build. `commit`: address of its commit on the Git host, or empty."""

    build: Build
    commit: str
    images: Sequence[BuiltImage]

    @property
    def state(self) -> str:
        """The name of the look of its state."""
        return state_of(self.build)

    @property
    def tells(self) -> bool:
        """Whether the line shows the result: only when the build did not succeed."""
        return bool(self.build.result) and self.build.state != State.SUCCEEDED

    @property
    def is_there(self) -> bool:
        """Whether nothing was built, because the registry had all images already."""
        succeeded = self.build.state == State.SUCCEEDED
        return succeeded and all(image.state == BuiltImage.State.EXISTED for image in self.images)

    @property
    def images_text(self) -> str:
        """While it is open, how many images are done; afterwards their names."""
        if self.build.is_open:
            return f"{sum(image.state in DONE for image in self.images)} of {len(self.images)}"
        return ", ".join(image.name for image in self.images)

    @property
    def cause(self) -> str:
        """What led to the build, in words."""
        return cause_of(self.build)


def cause_of(build: Build) -> str:
    """What led to a build, in words. Its delivery and the build that it repeats must be loaded."""
    who = build.actor_text
    match build.cause:
        case Build.Cause.PUSH:
            sender = build.delivery.sender if build.delivery else ""
            return f"push by {sender}" if sender else who
        case Build.Cause.RETRY | Build.Cause.REBUILD:
            word = "retry" if build.cause == Build.Cause.RETRY else "rebuild"
            of = f" of #{build.retry_of.number}" if build.retry_of else ""
            return f"{word}{of} by {who}"
        case Build.Cause.CATCH_UP:
            return "a push that was missed"
        case Build.Cause.REPORT:
            return "built elsewhere"
    return f"asked for by {who}"


def line(build: Build) -> Line:
    """The line of a build."""
    return Line(build, commit_url(build.project.repository_url, build.revision), list(build.images.all()))
