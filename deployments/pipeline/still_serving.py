"""Asks the cluster, after a failed rollout, whether the old release still serves."""

from __future__ import annotations

from collections.abc import Collection

from deployments.pipeline.work import Work
from engine.cluster.client import ApiError
from engine.cluster.live import Workload, read_live


def what_still_serves(work: Work, failed: Collection[str]) -> str:
    """Sentences: which replicas of the failed workloads are still ready, and which other workloads run the new release.

    `failed`: references of the failed objects, as text. Empty when the cluster was not reached or does not answer.
    """
    if not work.reached_cluster:
        return ""
    environment = work.environment
    try:
        found = read_live(work.client, environment.namespace, environment_label=environment.label)
    except ApiError:
        return ""
    bad = [workload for workload in found if str(workload.ref) in failed]
    pins = {pin.reference for pin in work.pins}
    new = [w.ref.name for w in found if w not in bad and w.ready and pins & set(w.images)]
    told = [serving(workload, work.deploy.previous_revision[:7]) for workload in bad]
    if new:
        told.append(f"{', '.join(new[:5])} run{'s' if len(new) == 1 else ''} {work.deploy.short} already.")
    return " ".join(told)


def serving(workload: Workload, previous: str) -> str:
    """A sentence about the ready replicas of one failed workload. A ready pod of the new release counts, too.
    `previous`: the short revision that ran before, or empty."""
    if not workload.ready:
        return f"Nothing of {workload.ref.name} is ready now."
    before = f" with {previous}" if previous and workload.ready >= workload.desired else ""
    return f"{workload.ref.name} goes on serving{before}: {workload.ready} of {workload.desired} replicas are ready."
