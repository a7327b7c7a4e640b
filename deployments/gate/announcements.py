"""Outbox rows for Slack, written in the transaction that starts or ends a deploy. Each deploy has one message, which is
updated; details go to its thread."""

from __future__ import annotations

from django.conf import settings

from deployments.models import Deploy
from notify.outbox import slack_message


def url_of(deploy: Deploy) -> str:
    """The absolute address of the deploy's page."""
    return f"{settings.BASE_URL}/deploys/{deploy.number}/"


def facts(deploy: Deploy, rollback: Deploy | None = None) -> dict[str, str | int]:
    """The payload of a message about a deploy; `notify/messages.py` makes the text. `rollback`: the rollback that follows."""
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
        "seconds": int(deploy.seconds or 0),
        "url": url_of(deploy),
    }


def tell_started(deploy: Deploy) -> None:
    """Queues the first message of a deploy, which later ones update."""
    slack_message(
        deploy.environment.channel,
        key=f"deploy-{deploy.number}-started",
        thread=f"deploy-{deploy.number}",
        payload=facts(deploy),
    )


def tell_ended(deploy: Deploy, rollback: Deploy | None = None) -> None:
    """Queues the update of the message after the end; for a failure, result and hint go to its thread. `rollback`: the
    rollback that follows. Writes nothing for a deploy that never started."""
    if deploy.started_at is None:
        return
    slack_message(
        deploy.environment.channel,
        key=f"deploy-{deploy.number}-ended",
        thread=f"deploy-{deploy.number}",
        payload=facts(deploy, rollback),
    )
