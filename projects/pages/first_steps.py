"""The steps before the first deploy, and their state. The board shows them while there is no project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from people.services import admins_text
from projects.access import visible_projects
from projects.models import Cluster, Environment, Project, Registry


@dataclass(frozen=True)
class Step:
    """One step. `state`: done, current or later; `url`: its page, empty while the step is not possible."""

    number: int
    title: str
    text: str
    state: str
    url: str = ""
    link: str = ""


@dataclass(frozen=True)
class FirstSteps:
    """`steps`: for an admin only; `ask`: for others, the people to ask. `is_done`: a deploy is possible."""

    steps: tuple[Step, ...]
    ask: str = ""

    @property
    def is_done(self) -> bool:
        """Whether every step is done."""
        return bool(self.steps) and all(step.state == "done" for step in self.steps)


def first_steps(user: Any) -> FirstSteps:
    """The first steps as this person sees them."""
    if not user.is_admin:
        return FirstSteps((), ask=admins_text())
    project = visible_projects(user).current().order_by("pk").first()
    wanted = (
        (
            Cluster.objects.current().exists(), "Register a cluster", reverse("projects:cluster-new"), "Register a cluster",
            "A kubeconfig with a ServiceAccount's token. It is tried before it is kept, and kept encrypted.",
        ),
        (
            Registry.objects.current().exists(), "Register the registry", reverse("projects:registry-new"), "Register a registry",
            "The Amazon ECR that your images are in. The portal's own AWS credentials open it; none is entered here. Not needed "
            "for a project without images of its own.",
        ),
        (
            project is not None, "Add a project", reverse("projects:new"), "Add a project",
            "A Git repository with a folder of manifests for each environment, such as kubernetes/staging. The portal reads it, "
            "and proposes environments, images, variables and secrets files.",
        ),
        (
            Environment.objects.current().exists(), "Take over what was read, then deploy", _proposals_url(project),
            "Read the repository",
            "The project's page then shows what is left until its first deploy, with a button for each.",
        ),
    )  # fmt: skip
    first_open = next((i for i, (done, *_) in enumerate(wanted) if not done), len(wanted))
    return FirstSteps(
        tuple(
            Step(
                i + 1,
                title,
                text,
                "done" if done else "current" if i == first_open else "later",
                url if url and not done else "",
                link,
            )
            for i, (done, title, url, link, text) in enumerate(wanted)
        )
    )


def _proposals_url(project: Project | None) -> str:
    return reverse("projects:proposals", args=[project.slug]) if project else ""
