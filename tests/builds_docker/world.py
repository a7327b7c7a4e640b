"""A project with a repository and images, and what a test does with it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.actors import Actor
from builds.models import Build, BuildSettings
from builds.pipeline import pipeline
from builds.requests import Order, request_build
from projects.connections import git_repository
from projects.models import Image, Project, Registry
from runs.log import every_chunk
from runs.models import Step
from tests.factories import make_image, make_project

COPY = "FROM scratch\nCOPY busybox /bin/busybox\n"
SERVES = """FROM scratch AS tools
ARG COLOUR=red
COPY busybox /bin/busybox
RUN ["/bin/busybox","sh","-c","/bin/busybox mkdir -p /srv && /bin/busybox echo $COLOUR > /srv/colour"]
FROM scratch
COPY --from=tools /bin/busybox /bin/busybox
COPY --from=tools /srv/colour /srv/colour
COPY app /srv/app
CMD ["/bin/busybox","httpd","-f","-p","8080","-h","/srv"]
"""


def command(line: str, *, words: str = "sh") -> str:
    """A RUN by busybox, which has no shell at the usual place."""
    return f'RUN ["/bin/busybox","{words}","-c","{line}"]\n'


SLOW = COPY + command("/bin/busybox echo began; /bin/busybox sleep 30")


@dataclass
class World:
    """A project of a repository in a folder."""

    folder: Path
    project: Project
    registry: Registry
    actor: Actor

    def commit(self, files: dict[str, str | None], branch: str = "main") -> str:
        """Commits files (None: deleted; `-> target`: a symbolic link) and returns the revision."""
        self.git("checkout", "-q", "-B", branch)
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text is not None and text.startswith("-> "):
                path.symlink_to(text[3:])
            elif text is not None:
                path.write_text(text)
        self.git("add", "-A")
        self.git(
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "commit",
            "-q",
            "-m",
            "A change",
            "--allow-empty",
        )
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout

    def image(self, name: str, **fields: Any) -> Image:
        """One more image of the project."""
        return make_image(
            self.project,
            registry=self.registry,
            **{"name": name, "repository": f"team/{self.project.slug}-{name}", **fields},
        )

    def ask(self, revision: str, **more: Any) -> Build:
        """Asks for a build of a revision."""
        repository = git_repository(self.project)
        repository.fetch(0)
        commit = repository.log(None, revision, 1)[0]
        return request_build(self.actor, self.project, Order(commit, **{"branch": "main", **more})).build

    def build(self, revision: str, **more: Any) -> Build:
        """Asks for a build, works on it in this process to its end, and returns it."""
        return work(self.ask(revision, **more))

    def settings(self, **fields: Any) -> None:
        BuildSettings.objects.update_or_create(project=self.project, defaults=fields)


def work(build: Build) -> Build:
    """Works on the current attempt in this process."""
    pipeline.run(str(build.run_id), build.attempt)
    build.refresh_from_db()
    return build


def log_of(build: Build) -> str:
    """The whole log: `step: text` in each line."""
    lines = [line.split("\t", 3) for chunk in every_chunk(build.run_id) for line in chunk.text.splitlines()]
    return "\n".join(f"{step}: {text}" for _, _, step, text in lines)


def steps_of(build: Build) -> dict[str, str]:
    """The state of each step by its name."""
    return dict(Step.objects.filter(run_id=build.run_id).values_list("name", "state"))


def make_world(folder: Path, registry: Registry, actor: Actor, slug: str) -> World:
    folder.mkdir()
    project = make_project(
        slug=slug, name=slug.capitalize(), repository_url=f"file://{folder}", default_branch="main"
    )
    world = World(folder, project, registry, actor)
    world.git("init", "-q", "-b", "main")
    shutil.copy("/bin/busybox", folder / "busybox")
    world.image("api")
    return world
