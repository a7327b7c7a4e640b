"""Outbox rows for Slack and GitHub, written in the transaction that starts or ends a deploy. Slack gets one message of each
deploy, which is updated, and details in its thread; GitHub one deployment with a state for its start and its end."""

from __future__ import annotations

from django.conf import settings

from adapters.github import DeploymentState
from deployments.models import Deploy
from notify.github import tell_deployment
from notify.outbox import slack_message
from runs.models import State

_STATES: dict[str, DeploymentState] = {
    State.SUCCEEDED: "success",
    State.FAILED: "failure",
    State.TIMED_OUT: "failure",
}  # others say nothing of the release: `error`


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
    tell_github(deploy, "started", "in_progress", f"Deploy #{deploy.number} by {deploy.actor_text} runs.")


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
    tell_github(deploy, "ended", _STATES.get(deploy.state, "error"), deploy.result or deploy.state)


def tell_github(deploy: Deploy, when: str, state: DeploymentState, said: str) -> None:
    """Queues a state of the deploy's deployment on GitHub."""
    thread, environment = f"github-deploy-{deploy.number}", deploy.environment
    tell_deployment(
        environment.project, deploy.revision, environment.slug, state, said, url_of(deploy), key=f"{thread}-{when}",
        thread=thread, production=environment.is_production,
    )  # fmt: skip
