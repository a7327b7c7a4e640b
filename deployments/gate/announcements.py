"""Outbox rows for Slack and GitHub, written in the transaction that starts or ends a deploy. GitHub gets one deployment with a
state for its start and its end.

Slack gets one message of each deploy, which is updated, and details in its thread. A rollback that follows a deploy's end stands
in that deploy's message, and has one of its own only when it goes wrong. Tries of what failed before share one message
(`streaks.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings

from adapters.github import DeploymentState
from deployments.gate.streaks import BAD, Streak, failures_before
from deployments.models import Deploy
from notify.github import tell_deployment
from notify.outbox import slack_message
from runs.models import State

_STATES: dict[str, DeploymentState] = {
    State.SUCCEEDED: "success",
    State.FAILED: "failure",
    State.TIMED_OUT: "failure",
}  # others say nothing of the release: `error`

MOST_OBJECTS = 5


def url_of(deploy: Deploy) -> str:
    """The absolute address of the deploy's page."""
    return f"{settings.BASE_URL}/deploys/{deploy.number}/"


def facts(deploy: Deploy, rollback: Deploy | None = None) -> dict[str, Any]:
    """The payload of a message about a deploy; `notify/messages.py` makes the text. `rollback`: the rollback that follows."""
    following: dict[str, Any] = {}
    if rollback is not None:
        following = {
            "rollback_number": rollback.number, "rollback_revision": rollback.short, "rollback_url": url_of(rollback),
        }  # fmt: skip
    return {
        **following,
        "number": deploy.number,
        "project": deploy.environment.project.name,
        "environment": deploy.environment.name,
        "revision": deploy.short,
        "subject": deploy.subject,
        "author": deploy.author,
        "actor": deploy.actor_text,
        "kind": deploy.kind,
        "state": deploy.state,
        "result": deploy.result,
        "hint": deploy.hint,
        "reason": deploy.reason,
        "cancelled_by": deploy.cancelled_by,
        "objects": objects_of(deploy),
        "seconds": int(deploy.seconds or 0),
        "url": url_of(deploy),
    }


def objects_of(deploy: Deploy) -> list[str]:
    """What is wrong with each object that failed. Lines of their logs stay on the page, whose readers have a role."""
    found = [one for one in deploy.evidence or [] if one.get("ref") and one.get("sentence")]
    return [one["sentence"] for one in found[:MOST_OBJECTS]]


def failing(deploy: Deploy, streak: Streak | None) -> dict[str, Any]:
    """How often the same thing has failed, this deploy included; nothing for a first try."""
    if streak is None:
        return {}
    is_bad = deploy.state in BAD and deploy.ended_at is not None
    since, last = (
        streak.first.ended_at,
        deploy.ended_at if is_bad and deploy.ended_at else streak.last.ended_at,
    )
    return {
        "failures": streak.count + is_bad, "failing_since": int(since.timestamp()), "failing_clock": _clock(since),
        "failed_last": int(last.timestamp()), "failed_clock": _clock(last),
    }  # fmt: skip


def _clock(at: datetime) -> str:
    return f"{at:%H:%M} UTC"


def tell_started(deploy: Deploy) -> None:
    """Queues the first message of a deploy, which later ones update."""
    if deploy.undoes_id is None:
        tell_slack(deploy, "started")
    tell_github(deploy, "started", "in_progress", f"Deploy #{deploy.number} by {deploy.actor_text} runs.")


def tell_ended(deploy: Deploy, rollback: Deploy | None = None) -> None:
    """Queues the update of the message after the end; for a failure, result and hint go to its thread. `rollback`: the
    rollback that follows. A deploy that never started has no message of its own."""
    if deploy.undoes is not None:
        tell_slack(deploy.undoes, f"undone-{deploy.number}", deploy, _outcome(deploy))
    if deploy.started_at is None:
        return
    if deploy.undoes_id is None or deploy.state in BAD:
        tell_slack(deploy, "ended", rollback)
    tell_github(deploy, "ended", _STATES.get(deploy.state, "error"), deploy.result or deploy.state)


def _outcome(rollback: Deploy) -> dict[str, Any]:
    return {"rollback_state": rollback.state, "rollback_result": rollback.result}


def tell_slack(
    deploy: Deploy, when: str, rollback: Deploy | None = None, more: dict[str, Any] | None = None
) -> None:
    """Queues a state of a deploy's message, in the thread of the deploy or of all tries of what failed before."""
    if not deploy.environment.channel:
        return
    streak = failures_before(deploy)
    thread = f"deploy-{streak.first.number}-again" if streak else f"deploy-{deploy.number}"
    payload = facts(deploy, rollback) | failing(deploy, streak) | (more or {})
    slack_message(
        deploy.environment.channel, key=f"deploy-{deploy.number}-{when}", thread=thread, payload=payload
    )


def tell_github(deploy: Deploy, when: str, state: DeploymentState, said: str) -> None:
    """Queues a state of the deploy's deployment on GitHub."""
    thread, environment = f"github-deploy-{deploy.number}", deploy.environment
    tell_deployment(
        environment.project, deploy.revision, environment.slug, state, said, url_of(deploy), key=f"{thread}-{when}",
        thread=thread, production=environment.is_production,
    )  # fmt: skip
