"""What deploys add to the life that every run has: turns in an environment, what is told, and rollbacks that follow."""

from __future__ import annotations

from deployments.gate import ending, turns, undoing
from deployments.gate.announcements import tell_started
from deployments.gate.kind import DEPLOY
from deployments.models import Deploy
from deployments.queries import last_revision
from runs.life.hooks import Life


def changes_at_start(deploy: Deploy) -> dict[str, object]:
    """What runs now may have come while it waited for its turn."""
    return {"previous_revision": last_revision(deploy.environment_id)}


def next_after(deploy: Deploy) -> Deploy | None:
    """The next in line of the same environment."""
    return turns.next_in_line(deploy.environment_id)


def what_stays(deploy: Deploy) -> str:
    """What becomes of what was applied, when a deploy was cancelled after its worker had stopped."""
    rollback = undoing.follower(deploy)
    return undoing.sentence(rollback) if rollback else "what was applied stays"


LIFE = Life(
    kind=DEPLOY,
    may_start=turns.may_start,
    could_start=turns.could_start,
    next_after=next_after,
    what_stays=what_stays,
    when_abandoned=(
        "What its worker had begun may still be going on for some minutes; compare the environment's page."
    ),
    changes_at_start=changes_at_start,
    on_start=tell_started,
    on_end=ending.with_the_end,
    hooks_need=("environment__project",),
    worker_needs=("environment__project", "environment__cluster", "release"),
)
