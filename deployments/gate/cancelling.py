"""Cancelling a deploy, alone or followed by a rollback to the last good release."""

from __future__ import annotations

from django.db import transaction

from audit.actors import Actor
from core.errors import Refused
from deployments.gate import undoing
from deployments.gate.life import LIFE
from deployments.models import Deploy
from projects import access
from projects.models import Role
from runs.life.cancelling import ask_to_stop
from runs.models import State


def cancel_deploy(
    actor: Actor, *, deploy: Deploy, then_roll_back: bool = False, idempotency_key: str = ""
) -> State:
    """Asks a deploy to stop. Returns its state afterwards. Idempotent.

    A waiting deploy ends at once. A running one becomes `cancelling` and stops before its next write. Objects that were
    applied stay; with `then_roll_back` the next deploy of the environment rolls them back. Raises Refused when the role is
    too low, the deploy has ended, or there is no release to roll back to; nothing is changed then.
    """
    access.require(actor, deploy.environment, Role.DEPLOYER)
    with transaction.atomic():
        if not ask_to_stop(LIFE, actor, deploy):
            raise ended(deploy)
        if then_roll_back and deploy.state == State.CANCELLING:
            undoing.roll_back_after_cancel(actor, deploy, idempotency_key=idempotency_key)
        elif then_roll_back and deploy.started_at and not undoing.follower(deploy):
            raise ended(deploy)  # another person cancelled it, without a rollback
    return State(deploy.state)


def ended(deploy: Deploy) -> Refused:
    """The error for a deploy that has ended already."""
    return Refused(
        f"Deploy #{deploy.number} has ended ({deploy.get_state_display().lower()}); there is nothing to cancel.",
        hint="To undo it, roll back.",
        code="ended",
    )
