"""What the outside is told of a deploy: rows of the outbox, written with what they tell of (one Slack message per
deploy, which is updated; details in its thread)."""

from __future__ import annotations

from django.conf import settings

from deployments.models import Deploy
from notify.outbox import slack_message


def url_of(deploy: Deploy) -> str:
    """The deploy's public address."""
    return f"{settings.BASE_URL}/deploys/{deploy.number}/"


def facts(deploy: Deploy, rollback: Deploy | None = None) -> dict[str, str | int]:
    """What a message says of a deploy (notify/messages.py makes the words). `rollback`: the one that follows it."""
    following: dict[str, str | int] = {}
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
        "seconds": int((deploy.ended_at - deploy.started_at).total_seconds())
        if deploy.ended_at and deploy.started_at
        else 0,
        "url": url_of(deploy),
    }


def tell_started(deploy: Deploy) -> None:
    """The message that later ones update."""
    slack_message(
        deploy.environment.channel,
        key=f"deploy-{deploy.number}-started",
        thread=f"deploy-{deploy.number}",
        payload=facts(deploy),
    )


def tell_ended(deploy: Deploy, rollback: Deploy | None = None) -> None:
    """Updates the message; what needs more words goes into its thread. `rollback`: the one that follows. A deploy that
    never started is not told."""
    if deploy.started_at is None:
        return
    slack_message(
        deploy.environment.channel,
        key=f"deploy-{deploy.number}-ended",
        thread=f"deploy-{deploy.number}",
        payload=facts(deploy, rollback),
    )
