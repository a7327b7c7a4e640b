"""RQ's entry points for reading clusters: one short job per environment, so that a slow cluster delays only its own."""

from __future__ import annotations

import time

from clusters.services import is_down, refresh_environment, stale_environments
from core.jobs import enqueue
from projects.models import Environment

LIVE_SECONDS = 30


def refresh_live(environment_id: int) -> None:
    """Reads one environment from its cluster."""
    environment = Environment.objects.select_related("cluster", "project").filter(pk=environment_id).first()
    if environment is not None:
        refresh_environment(environment)


def refresh_if_stale(environment_id: int) -> None:
    """The same for the tick, whose jobs may have waited long: not again what was read meanwhile, nor of a cluster that
    did not answer a moment ago."""
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment and environment_id in stale_environments(LIVE_SECONDS) and not is_down(environment):
        refresh_live(environment_id)


def refresh_soon(environment_id: int) -> None:
    """Asks for a fresh look, e.g. after a deploy. One job per environment and second."""
    job_id = f"live-{environment_id}-{int(time.time())}"
    enqueue("clusters.jobs.refresh_live", environment_id, queue="short", job_id=job_id, at_front=True)


def refresh_stale() -> None:
    """The tick: one job for every environment whose answer is older than LIVE_SECONDS."""
    slot = int(time.time()) // LIVE_SECONDS
    for pk in stale_environments(LIVE_SECONDS):
        enqueue("clusters.jobs.refresh_if_stale", pk, queue="short", job_id=f"live-{pk}-slot-{slot}")
