"""Enqueues runs for workers: one job per attempt, with an id made of the run and its attempt."""

from __future__ import annotations

from core.jobs import enqueue
from runs.life.kind import Kind, R
from runs.models import Run


def job_id(run: Run) -> str:
    """The RQ job id of the run's current attempt."""
    return f"{run.run_id}-{run.attempt}"


def enqueue_run(kind: Kind[R], run: R) -> None:
    """Enqueues a job for the run's current attempt, after the commit. The claim decides whether the run may start."""
    enqueue(kind.job, str(run.run_id), run.attempt, queue=kind.queue, job_id=job_id(run))
