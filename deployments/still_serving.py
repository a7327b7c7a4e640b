"""After a failed rollout: does the old release still serve? Asked of the cluster, never assumed."""

from __future__ import annotations

from engine.live import read_live

from deployments.work import Work
from engine.client import ApiError


def what_still_serves(work: Work) -> str:
    """One sentence about the replicas that still answer, or empty when the cluster does not say."""
    if not work.reached_cluster:
        return ""
    environment = work.environment
    try:
        workloads = read_live(work.client, environment.namespace, environment_label=environment.label)
    except ApiError:
        return ""
    serving = [w for w in workloads if w.desired and w.ready]
    if not serving:
        return "Nothing is ready in the namespace now."
    before = f" of {work.deploy.previous_revision[:7]}" if work.deploy.previous_revision else ""
    names = ", ".join(f"{w.ref.name} ({w.ready} of {w.desired})" for w in serving[:3])
    return f"Replicas{before} that are ready go on serving: {names}."
