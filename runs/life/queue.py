"""Ringing for a worker: one job per attempt, named after the run and its attempt."""

from __future__ import annotations

from core.jobs import enqueue
from runs.life.kind import Kind, R
from runs.models import Run


def job_id(run: Run) -> str:
    """One job per attempt."""
    return f"{run.run_id}-{run.attempt}"


def enqueue_run(kind: Kind[R], run: R) -> None:
    """Rings for one run, after the commit. Whether it may start is decided when it is claimed."""
    enqueue(kind.job, str(run.run_id), run.attempt, queue=kind.queue, job_id=job_id(run))
