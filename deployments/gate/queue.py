"""The queue of deploys: one job per attempt, named after the run and its attempt."""

from __future__ import annotations

from core.jobs import enqueue
from deployments.models import Deploy

QUEUE = "deploys"
RUN_DEPLOY = "deployments.jobs.run_deploy"


def job_id(deploy: Deploy) -> str:
    """One job per attempt."""
    return f"{deploy.run_id}-{deploy.attempt}"


def enqueue_deploy(deploy: Deploy) -> None:
    """Rings for one deploy, after the commit. Whether it may start is decided when it is claimed."""
    enqueue(RUN_DEPLOY, str(deploy.run_id), deploy.attempt, queue=QUEUE, job_id=job_id(deploy))
