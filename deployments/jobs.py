"""RQ's entry points: thin, ids only (style.md §4.6)."""

from __future__ import annotations

from core.jobs import enqueue
from deployments.models import Deploy

QUEUE = "deploys"


def job_id(deploy: Deploy) -> str:
    """One job per attempt (design.md §4.1)."""
    return f"{deploy.run_id}-{deploy.attempt}"


def enqueue_deploy(deploy: Deploy) -> None:
    """Rings for one deploy, after the commit. Whether it may start is decided when it is claimed."""
    enqueue(run_deploy, str(deploy.run_id), deploy.attempt, queue=QUEUE, job_id=job_id(deploy))


def run_deploy(run_id: str, attempt: int) -> None:
    """Works on one attempt of a deploy; ends at once when the attempt is not the current one or it is not its turn."""
    from deployments import pipeline  # the pipeline imports the gate's neighbours, which import this module

    pipeline.run(run_id, attempt)
