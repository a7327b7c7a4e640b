"""Builds as a kind of run: table, counter, queue, job, steps, and their name in audit events."""

from __future__ import annotations

from collections.abc import Iterable

from builds.models import Build, BuildCounter
from runs.life.kind import About, Kind


def about(build: Build) -> About:
    """How audit events name a build."""
    return About(
        text=f"#{build.number} {build.project.slug} {build.short}",
        project=build.project.slug,
        facts={"revision": build.revision, "cause": build.cause},
    )


def steps_of(images: Iterable[str]) -> tuple[str, ...]:
    """The names of a build's steps: the checkout, two for each image, then the tags of branches and of Git."""
    return ("checkout", *(f"{part} {name}" for name in images for part in ("build", "push")), "tags")


BUILD = Kind(
    name="build",
    model=Build,
    counter=BuildCounter,
    queue="builds",
    job="builds.jobs.run_build",
    steps=("checkout",),  # and two for each image: `steps_of`
    about=about,
)
