"""RQ's entry points for reading clusters. Each environment has its own short job, so a slow cluster delays no job of others."""

from __future__ import annotations

import time

from clusters.services import is_down, refresh_environment, stale_environments
from core.jobs import enqueue
from projects.models import Environment

LIVE_SECONDS = 30


def refresh_live(environment_id: int) -> None:
    """Job: reads the live state of one environment from its cluster. Does nothing for a deleted environment."""
    environment = Environment.objects.select_related("cluster", "project").filter(pk=environment_id).first()
    if environment is not None:
        refresh_environment(environment)


def refresh_if_stale(environment_id: int) -> None:
    """Job of the tick, which may have waited long in the queue: skips an environment that was read meanwhile, and one whose
    cluster did not answer a moment ago."""
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment and environment_id in stale_environments(LIVE_SECONDS) and not is_down(environment):
        refresh_live(environment_id)


def refresh_soon(environment_id: int) -> None:
    """Enqueues a read at the front of the queue, for example after a deploy. At most one job per environment and second."""
    job_id = f"live-{environment_id}-{int(time.time())}"
    enqueue("clusters.jobs.refresh_live", environment_id, queue="short", job_id=job_id, at_front=True)


def refresh_stale() -> None:
    """Tick: enqueues one job for every environment that was not read for LIVE_SECONDS."""
    slot = int(time.time()) // LIVE_SECONDS
    for pk in stale_environments(LIVE_SECONDS):
        enqueue("clusters.jobs.refresh_if_stale", pk, queue="short", job_id=f"live-{pk}-slot-{slot}")
