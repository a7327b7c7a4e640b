"""RQ's entry points for reading clusters. Each cluster has its own job with a limited time, so a slow cluster delays no other."""

from __future__ import annotations

import time

from clusters.services import (
    is_down,
    learn_version,
    note_lost,
    reader_of,
    refresh_environment,
    stale_clusters,
    stale_environments,
)
from core.jobs import enqueue, slot
from core.scheduler import holder_name, release_lease, take_lease
from projects.allotting.using import lost_places
from projects.models import Cluster, Environment

LIVE_SECONDS = 30
LOOK_SECONDS = 10  # between two ticks
# After which a job leaves the rest of its environments to the next one; one read takes 8 s at most.
CLUSTER_SECONDS = 20.0
LEASE_SECONDS = 40


def refresh_live(environment_id: int) -> None:
    """Job: reads the live state of one environment from its cluster. Does nothing for one that is archived or deleted."""
    rows = Environment.objects.current().select_related("cluster", "project")
    environment = rows.filter(pk=environment_id).first()
    if environment is not None and not _forgot_lost([environment]):
        refresh_environment(environment)


def refresh_cluster(cluster_id: int) -> None:
    """Job of the tick: reads the environments of one cluster that are due, the oldest first, over one connection.

    Of two such jobs at once one does nothing. Once the cluster does not answer, the other environments only get the reason.
    """
    cluster, lease = Cluster.objects.current().filter(pk=cluster_id).first(), f"live-{cluster_id}"
    if cluster is None or not take_lease(lease, holder_name(), LEASE_SECONDS):
        return
    try:
        _refresh_due(cluster, time.monotonic() + CLUSTER_SECONDS)
    finally:
        release_lease(lease, holder_name())


def _refresh_due(cluster: Cluster, until: float) -> None:
    due = stale_environments(LIVE_SECONDS, cluster)
    lost = _forgot_lost(due)
    with reader_of(cluster) as client:
        for environment in due:
            if time.monotonic() > until:
                return
            if environment.pk not in lost and not is_down(environment):
                refresh_environment(environment, client)
        learn_version(cluster, client)


def _forgot_lost(environments: list[Environment]) -> dict[int, str]:
    """Of environments whose namespace is not allotted any more nothing is read or kept."""
    lost = lost_places(environments)
    for environment in environments:
        if environment.pk in lost:
            note_lost(environment, lost[environment.pk])
    return lost


def refresh_soon(environment_id: int) -> None:
    """Enqueues a read at the front of the queue, for example after a deploy. At most one job per environment and second."""
    job_id = f"live-{environment_id}-{slot(1)}"
    enqueue("clusters.jobs.refresh_live", environment_id, queue="live", job_id=job_id, at_front=True)


def refresh_stale() -> None:
    """Tick: enqueues one job for every cluster with an environment that was not read for LIVE_SECONDS."""
    for pk in stale_clusters(LIVE_SECONDS):
        job_id = f"live-cluster-{pk}-{slot(LOOK_SECONDS)}"
        enqueue("clusters.jobs.refresh_cluster", pk, queue="live", job_id=job_id)
