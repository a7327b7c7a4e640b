"""Parts of the page of one build: steps, images, environments, and the card about a failure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from builds.models import Build, BuiltImage
from builds.pushed import DONE, pushed_sentence
from engine.manifests.images import parse_reference
from projects.access import roles_by_environment
from projects.models import Environment, Role
from runs.log import lines
from runs.models import LogChunk, State

TROUBLE = (State.FAILED, State.ERRORED, State.TIMED_OUT, State.ABANDONED)
FAILED_STEPS = ("failed", "errored", "timed_out")
MEND = "Correct it in the repository, push, and build the new revision: this one would fail in the same way."
LAST_LINES = 20
LAST_CHUNKS = 20


@dataclass(frozen=True)
class StepView:
    """A step of the build, for `components/steps.html` and the log."""

    name: str
    state: str
    seconds: float | None
    started_at: datetime | None
    summary: str


@dataclass(frozen=True)
class ImageView:
    """An image of the build. `before`: the same image of the build that this one is compared with, or None."""

    row: BuiltImage
    before: BuiltImage | None = None

    @property
    def cache(self) -> str:
        """How many steps of the Dockerfile came from the cache; empty while not known."""
        if not self.row.steps:
            return ""
        if self.row.cached_steps == self.row.steps:
            return f"all {self.row.steps} steps"
        return f"{self.row.cached_steps} of {self.row.steps} steps"

    @property
    def recipe(self) -> list[tuple[str, str]]:
        """How the image is built: names and values of what is not the default."""
        facts = [
            ("Dockerfile", self.row.dockerfile), ("context", self.row.context if self.row.context != "." else ""),
            ("target", self.row.target), ("platform", self.row.platform),
        ]  # fmt: skip
        return [(name, value) for name, value in facts if value]

    @property
    def grown(self) -> int | None:
        """By how many bytes it is larger than before; None without two sizes."""
        if self.before is None or self.row.size is None or self.before.size is None:
            return None
        return self.row.size - self.before.size

    @property
    def grown_by(self) -> int:
        """The same without its sign."""
        return abs(self.grown or 0)


@dataclass(frozen=True)
class Place:
    """An environment of the project. `runs`: its cluster runs an image of this build, as it said last."""

    environment: Environment
    may_deploy: bool
    runs: bool


def places(build: Build, images: Sequence[BuiltImage], user: Any) -> list[Place]:
    """The project's environments in their order; two queries."""
    rows = Environment.objects.current().filter(project=build.project_id).select_related("project", "live")
    found = list(rows.defer("project__credential").order_by("order", "slug"))
    roles = roles_by_environment(user, found)
    return [
        Place(place, may_deploy(roles.get(place.pk)), any(is_of(name, images) for name in running(place)))
        for place in found
    ]


def may_deploy(role: Role | None) -> bool:
    """Whether a role lets deploy."""
    return role is not None and role.rank >= Role.DEPLOYER.rank


def running(place: Environment) -> list[str]:
    """The images of the environment's workloads, as its cluster said last."""
    live: Any = getattr(place, "live", None)
    return [name for workload in (live.workloads if live else []) for name in workload.get("images", ())]


def is_of(name: str, images: Iterable[BuiltImage]) -> bool:
    """Whether an image of a workload is one of these: by digest where both have one, else by a tag of the revision."""
    shown = parse_reference(name)
    for one in images:
        if one.reference == shown.repository and one.state in DONE:
            if shown.digest and one.digest:
                return one.digest == shown.digest
            return bool(shown.tag) and shown.tag in revision_tags(one)
    return False


def revision_tags(image: BuiltImage) -> set[str]:
    """The tags that name the revision; those of branches move."""
    revision = image.build.revision
    return {revision, revision[:7]}


def trouble(build: Build, steps: Sequence[StepView], images: Sequence[BuiltImage]) -> dict[str, Any] | None:
    """The context of `components/failure.html`, or None when the build did not fail."""
    if build.state not in TROUBLE:
        return None
    failed = [step.name for step in steps if step.state in FAILED_STEPS]
    there = pushed_sentence(images)
    return {
        "tone": build.state,
        "sentence": build.result,
        "hint": build.hint.replace(there, "").strip() or (MEND if build.state == State.FAILED else ""),
        "facts": [*of_images(build, images), ("What is there", there)],
        "evidence": proofs(build, failed),
    }


def of_images(build: Build, images: Iterable[BuiltImage]) -> list[tuple[str, str]]:
    """What became of each image that failed, where the build's result does not say it."""
    return [
        (f"Image {one.name}", one.sentence)
        for one in images
        if one.state == BuiltImage.State.FAILED and one.sentence and one.sentence not in build.result
    ]


def proofs(build: Build, failed: Sequence[str]) -> list[dict[str, Any]]:
    """The stored evidence that has lines, else the last lines of each failed step from the log; one query at most."""
    stored = [item for item in build.evidence if item.get("logs")]
    if stored or not failed:
        return stored
    chunks = LogChunk.objects.filter(run_id=build.run_id).order_by("-sequence")[:LAST_CHUNKS]
    found = lines(reversed(chunks))
    texts = {name: [line.text for line in found if line.step == name][-LAST_LINES:] for name in failed}
    return [{"title": name.capitalize(), "logs": last} for name, last in texts.items() if last]
