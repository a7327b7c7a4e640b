"""Whether the worker of an earlier deploy may still write to the cluster, so that this deploy must fence it off.

A worker that was given up (silent for long, or not stopping) may only have been stopped, and go on one day. Its deploy's
attempt was raised then. A later deploy that marked its objects (engine/cluster/marking.py) and succeeded has fenced it off for
the deploys after it.
"""

from __future__ import annotations

from deployments.models import Deploy
from deployments.pipeline.work import Work
from runs.models import State


def mark_against_earlier(work: Work) -> str:
    """The mark for this deploy's objects; empty when no worker of an earlier deploy can still write. Says so in the log."""
    if not may_be_written_to(work.deploy):
        return ""
    work.log("The worker of an earlier deploy was given up and may still write: it is fenced off first.")
    return f"{work.deploy.number}.{work.deploy.attempt}"


def may_be_written_to(deploy: Deploy) -> bool:
    """Whether a worker was given up during an earlier deploy of the environment, and no deploy of all its objects has succeeded
    since. Earlier attempts of this deploy do not count: they write the same."""
    earlier = Deploy.objects.filter(environment=deploy.environment_id).exclude(pk=deploy.pk)
    whole = earlier.filter(state=State.SUCCEEDED).exclude(kind=Deploy.Kind.SECRETS)
    since = whole.order_by("-number").values_list("ended_at", flat=True).first()
    given_up = earlier.filter(attempt__gt=1, started_at__isnull=False)
    return (given_up.filter(ended_at__gte=since) if since else given_up).exists()
