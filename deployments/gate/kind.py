"""Deploys as a kind of run: table, counter, queue, job, steps, and their name in audit events."""

from __future__ import annotations

from deployments.models import STEPS, Deploy, DeployCounter
from runs.life.kind import About, Kind


def about(deploy: Deploy) -> About:
    """How audit events name a deploy."""
    return About(
        text=f"#{deploy.number} {deploy.environment.label} {deploy.short}",
        project=deploy.environment.project.slug,
        facts={"revision": deploy.revision, "kind": deploy.kind},
    )


DEPLOY = Kind(
    name="deploy",
    model=Deploy,
    counter=DeployCounter,
    queue="deploys",
    job="deployments.jobs.run_deploy",
    steps=STEPS,
    about=about,
)
