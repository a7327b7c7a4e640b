"""The hooks of deploys for the life cycle of runs: order within an environment, notifications, and rollbacks that follow."""

from __future__ import annotations

from deployments.gate import ending, turns, undoing
from deployments.gate.announcements import tell_started
from deployments.gate.kind import DEPLOY
from deployments.gate.secrets_alone import base_of
from deployments.models import Deploy
from deployments.queries import last_revision
from runs.life.hooks import Life


def changes_at_start(deploy: Deploy) -> dict[str, object]:
    """The revision that runs now: another deploy may have ended while this one waited. A deploy of the secrets alone takes
    that revision over."""
    release, _ = base_of(deploy.environment) if deploy.kind == Deploy.Kind.SECRETS else (None, "")
    changes: dict[str, object] = {"previous_revision": last_revision(deploy.environment_id)}
    if release is not None:
        changes |= {"revision": release.revision, "subject": release.subject, "author": release.author}
    return changes


def next_after(deploy: Deploy) -> Deploy | None:
    """The next queued deploy of the same environment."""
    return turns.next_in_line(deploy.environment_id)


def what_stays(deploy: Deploy) -> str:
    """End of the sentence about a deploy that was cancelled after its worker had stopped: the rollback that follows, or
    that applied objects stay."""
    rollback = undoing.follower(deploy)
    return undoing.sentence(rollback) if rollback else "what was applied stays"


LIFE = Life(
    kind=DEPLOY,
    may_start=turns.may_start,
    could_start=turns.could_start,
    next_after=next_after,
    what_stays=what_stays,
    when_abandoned=(
        "The last writes of its worker may still be going on for some minutes; check the environment's page."
    ),
    changes_at_start=changes_at_start,
    on_start=tell_started,
    on_end=ending.on_end,
    hooks_need=("environment__project",),
    worker_needs=("environment__project", "environment__cluster", "release"),
)
