"""Builds in the database of a running sandbox, for tests and pictures of their pages. Called in a process of its own:
`sandbox.manage("shell", "-c", "from tests.e2e import built; print(built.story())")`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from adapters.git.repository import Commit
from builds.models import Build, BuiltImage
from projects.connections import git_repository
from projects.models import Project
from runs.bell import CHANGED, LOG, Bell
from runs.models import LogChunk, State, Step
from tests.factories import make_build

FAILED = "The Dockerfile of worker failed at step 6 of 9: exit code 1."
HINT = "Look at the lines of that step: they are the command's own words."
LINES = (
    "Step 6/9 : RUN npm run build",
    'npm ERR! Missing script: "build"',
    "npm ERR! A complete log of this run is in /root/.npm/_logs",
)


def story(slug: str = "storefront") -> str:
    """A project's builds of the last days, the last one running; those that succeeded ended before the sandbox was started, so
    that no rule of an environment deploys them. Returns the numbers of one that failed, the newest that
    succeeded, and the running one, as a line of text."""
    chance = random.Random(7)
    project = Project.objects.get(slug=slug)
    commits = commits_of(project, "main")
    now = timezone.now()
    for place in range(24):
        state = "failed" if place % 7 == 5 else "cancelled" if place == 12 else "succeeded"
        at = now - timedelta(hours=3 * (25 - place))
        one(project, commits[min(4, (24 - place) // 5)], state, at, chance.uniform(50, 200), chance)
    failed = one(
        project,
        commits_of(project, "broken")[0],
        "failed",
        now - timedelta(minutes=280),
        41,
        chance,
        "broken",
    )
    succeeded = one(project, commits[0], "succeeded", now - timedelta(minutes=240), 98, chance)
    running = one(project, commits[1], "running", now - timedelta(seconds=50), 0, chance)
    return f"numbers {failed.number} {succeeded.number} {running.number}"


def commits_of(project: Project, branch: str) -> Sequence[Commit]:
    """The newest commits of a branch."""
    repository = git_repository(project)
    repository.fetch(max_age=0.0)
    return repository.log(None, repository.resolve(branch).sha, 30)


def one(
    project: Project, commit: Commit, state: str, at: datetime, seconds: float, chance: random.Random, branch: str = "main"
) -> Build:  # fmt: skip
    """A build of all images of the project, as it would look in that state. A running one seems to have a living worker."""
    images = list(project.images.values_list("name", flat=True))
    said = {
        "failed": FAILED,
        "cancelled": "dev cancelled it.",
        "succeeded": "All images were built and pushed.",
    }
    build = make_build(
        project, state, images=images, revision=commit.sha, subject=commit.subject, author=commit.author, branch=branch,
        cause="push", actor_kind="system", actor_text=f"push by {commit.author.split()[0].lower()}", builder="buildkit",
        started_at=at, ended_at=at + timedelta(seconds=seconds) if seconds else None, result=said.get(state, ""),
        hint=HINT if state == "failed" else "", worker="test", heartbeat_at=timezone.now() + timedelta(hours=2),
    )  # fmt: skip
    Build.objects.filter(pk=build.pk).update(created_at=at - timedelta(seconds=4))
    reached = (
        len(images) * 2 + 2 if state == "succeeded" else 3
    )  # checkout, build and push of the first image; at last the tags
    stopped = {"failed": "failed", "running": "running"}.get(state, "skipped")
    for step in Step.objects.filter(run_id=build.run_id):
        step.state = "succeeded" if step.position < reached else stopped
        if step.state == stopped:
            stopped = "pending" if state == "running" else "skipped"
        if step.state in ("succeeded", "failed", "running"):
            step.started_at = at + timedelta(seconds=9 * step.position)
            step.ended_at = None if step.state == "running" else step.started_at + timedelta(seconds=9)
        step.save()
    for image in build.images.all():
        fill(image, state, chance)
    write(build, "checkout", f"Checked out {build.short}")
    write(build, f"build {images[0]}", "Step 1/9 : FROM node:22-slim", "CACHED", "Step 2/9 : WORKDIR /app")
    if state in ("failed", "running"):
        write(build, f"build {images[1]}", *(LINES if state == "failed" else LINES[:1]))
    return build


def fill(image: BuiltImage, state: str, chance: random.Random) -> None:
    """What became of an image: in a build that did not succeed the first was pushed and the second is at fault."""
    if state != "succeeded" and image.position:
        image.state = {"failed": "failed", "running": "building"}.get(state, "cancelled")
        image.save()
        return
    build = image.build
    tags = [
        build.short,
        build.revision,
        f"branch-{build.branch}",
        *(["latest"] if build.branch == "main" else []),
    ]
    image.state, image.tags, image.digest = "succeeded", tags, f"sha256:{chance.getrandbits(256):064x}"
    image.size, image.steps, image.cached_steps = (
        80_000_000 + chance.randrange(9_000_000),
        9,
        chance.randrange(3, 9),
    )
    image.build_seconds, image.push_seconds = chance.uniform(20, 60), chance.uniform(3, 12)
    image.save()


def write(build: Build, step: str, *words: str) -> None:
    """More lines of a build's log; viewers are told."""
    last = LogChunk.objects.filter(run_id=build.run_id).order_by("-sequence").first()
    first = last.first_line + last.line_count if last else 1
    text = "\n".join(f"{timezone.now().timestamp()}\tinfo\t{step}\t{word}" for word in words)
    LogChunk.objects.create(
        run_id=build.run_id, sequence=(last.sequence if last else 0) + 1, first_line=first, line_count=len(words), text=text,
    )  # fmt: skip
    Bell(build.run_id).ring(LOG)


def goes_on(number: int, word: str) -> None:
    """The running build writes another line."""
    write(Build.objects.get(number=number), "build worker", word)


def fails(number: int) -> None:
    """The running build fails in the build of its second image."""
    build = Build.objects.get(number=number)
    Step.objects.filter(run_id=build.run_id, state="running").update(state="failed", ended_at=timezone.now())
    Step.objects.filter(run_id=build.run_id, state="pending").update(state="skipped")
    BuiltImage.objects.filter(build=build, state="building").update(state="failed")
    Build.objects.filter(pk=build.pk).update(
        state=State.FAILED, ended_at=timezone.now(), result=FAILED, hint=HINT
    )
    Bell(build.run_id).ring(CHANGED)
