"""Data for the page of one build, read with a constant number of queries."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.git.repository import commit_url
from builds.engine import has_worker
from builds.models import Build, BuiltImage
from builds.pages import build_parts, times
from builds.pages.build_parts import ImageView, Place, StepView
from builds.pages.build_rows import cause_of, state_of
from builds.pages.delivery_rows import address_of
from builds.pushed import DONE
from runs.models import ACTIVE, State, Step
from ui.states import look

FEW_STEPS = 8


@dataclass(frozen=True)
class Page:
    """The part above the log, for the whole page and for the fragment that htmx fetches.

    `waits_for`: a running build of the project, while this one is queued; `previous`: the build of the branch that it is
    compared with; `later`: a newer build of the same revision; `places`: the project's environments; `key`: the idempotency
    key of the forms; `may_build`: the reader may cancel, retry and rebuild. Of an open build `usual`: seconds that builds of the
    project take, None where none succeeded yet; `lacks_worker`: it waits, and no worker of builds runs.
    """

    build: Build
    steps: Sequence[StepView]
    images: Sequence[ImageView]
    commit: str
    may_build: bool
    places: Sequence[Place] = ()
    waits_for: Build | None = None
    previous: Build | None = None
    later: Build | None = None
    trouble: dict[str, Any] | None = None
    usual: float | None = None
    lacks_worker: bool = False
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def is_open(self) -> bool:
        """Whether the build has not ended, so that the page still changes."""
        return self.build.is_open

    @property
    def label(self) -> str:
        """`#912`."""
        return f"#{self.build.number}"

    @property
    def state(self) -> str:
        """The name of the look of its state."""
        return state_of(self.build)

    @property
    def title(self) -> str:
        """Title of the document. The state comes first, because a narrow tab shows only the beginning."""
        return f"{look(self.state).word} #{self.build.number}: {self.build.project.name} {self.build.short}"

    @property
    def log_title(self) -> str:
        """Accessible name of the log."""
        return f"Log of build {self.build.number}"

    @property
    def favicon(self) -> str:
        """Path of the static file that shows the state in the tab."""
        return f"img/state-{look(self.state).css}.svg"

    @property
    def attempt_text(self) -> str:
        """`attempt 2`, shown after a worker was lost."""
        return f"attempt {self.build.attempt}"

    @property
    def cause(self) -> str:
        """What led to the build."""
        return cause_of(self.build)

    @property
    def delivery(self) -> str:
        """The address of the push that led to it; empty without one."""
        return address_of(self.build.delivery_id) if self.build.delivery_id else ""

    @property
    def builder(self) -> str:
        """The builder's name, once known."""
        return {"buildkit": "BuildKit", "classic": "Docker's classic builder"}.get(
            self.build.builder, self.build.builder
        )

    @property
    def tone(self) -> str:
        """Tone of the notice about the end."""
        return {State.SUCCEEDED: "passed", State.CANCELLED: "warning"}.get(State(self.build.state), "info")

    @property
    def is_green(self) -> bool:
        """Whether its images can be deployed."""
        return self.build.state == State.SUCCEEDED

    @property
    def is_there(self) -> bool:
        """Whether nothing was built, because the registry had all images already."""
        return self.is_green and all(one.row.state == BuiltImage.State.EXISTED for one in self.images)

    @property
    def many_steps(self) -> bool:
        """Whether the steps need more than one line."""
        return len(self.steps) > FEW_STEPS

    @property
    def compares(self) -> bool:
        """Whether there is a build to compare an ended one with."""
        return self.previous is not None and self.is_green

    @property
    def deploys_to(self) -> list[Place]:
        """The environments that the reader may deploy a green build to."""
        return [place for place in self.places if place.may_deploy] if self.is_green else []

    @property
    def runs_in(self) -> list[Place]:
        """The environments whose cluster runs an image of this build."""
        return [place for place in self.places if place.runs]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Hidden fields of the forms: the idempotency key makes a double click one request."""
        return [("key", self.key)]

    @property
    def cancel_text(self) -> str:
        """Text of the dialog "Cancel"."""
        if self.build.started_at is None:
            return "It has not begun; nothing was built."
        return "It stops as soon as Docker does. Images that were pushed already stay in the registry."

    @property
    def retry_text(self) -> str:
        """Text of the dialog "Build again"."""
        kept = [one.row.name for one in self.images if one.row.state in DONE]
        there = f" {', '.join(kept)} is in the registry and is not built again." if len(kept) == 1 else ""
        there = f" {', '.join(kept)} are in the registry and are not built again." if len(kept) > 1 else there
        return f"{self.build.short} is built again, with the project's settings as they are now.{there}"

    @property
    def rebuild_text(self) -> str:
        """Text of the dialog "Rebuild without cache"."""
        return (
            f"Every image of {self.build.short} is built anew: no layer comes from the cache, and base images are fetched "
            "again. It takes longer. In a repository with immutable tags the push is refused."
        )


def page(build: Build, user: Any, *, may_build: bool) -> Page:
    """Reads the data for the page of a build from `builds.lookup.build_for`."""
    rows = list(Step.objects.filter(run_id=build.run_id))
    steps = [StepView(row.name, row.state, row.seconds, row.started_at, row.summary) for row in rows]
    images = list(build.images.all())
    previous = None if build.is_open else previous_of(build)
    before = {one.name: one for one in previous.images.all()} if previous else {}
    made = Page(
        build=build,
        steps=steps,
        images=[ImageView(row, before.get(row.name)) for row in images],
        commit=commit_url(build.project.repository_url, build.revision),
        may_build=may_build,
        places=build_parts.places(build, images, user),
        previous=previous,
    )
    if build.state == State.QUEUED:
        active = Build.objects.filter(project=build.project_id, state__in=ACTIVE).order_by("number")
        return replace(made, waits_for=active.only("number", "state").first(), lacks_worker=not has_worker())
    if build.is_open:
        return replace(made, usual=times.usual(build.project_id))
    same = Build.objects.filter(project=build.project_id, revision=build.revision, number__gt=build.number)
    later = same.order_by("-number").only("number", "state").first()
    return replace(made, later=later, trouble=build_parts.trouble(build, steps, images))


def previous_of(build: Build) -> Build | None:
    """The newest build before this one that succeeded on another revision: of its branch, else of the project."""
    green = Build.objects.filter(
        project=build.project_id, state=State.SUCCEEDED, number__lt=build.number
    ).exclude(revision=build.revision)
    if build.branch:
        green = green.filter(branch=build.branch)
    return green.defer("evidence", "warnings").order_by("-number").first()
