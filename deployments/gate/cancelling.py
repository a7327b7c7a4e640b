"""Stopping a deploy: here, or with a rollback to the last good release behind it (design.md §4.8)."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from audit.actors import Actor
from core.errors import Refused
from deployments.gate import ending, undoing
from deployments.gate.requests import audit
from deployments.models import Deploy
from projects import access
from projects.models import Role
from runs.bell import CHANGED, Bell
from runs.models import State

CHANGED_BY_IT = ["state", "cancel_requested_at", "cancelled_by", "started_at", "ended_at", "result", "hint"]


def cancel_deploy(
    actor: Actor, *, deploy: Deploy, then_roll_back: bool = False, idempotency_key: str = ""
) -> State:
    """Asks a deploy to stop; the state it is in now. Idempotent.

    A waiting one ends at once. A running one becomes `cancelling` and stops before its next write; what was applied
    stays, or is rolled back by the next deploy of the environment (`then_roll_back`). Raises Refused when the role is too
    weak, the deploy has ended, or there is nothing to roll back to; nothing is changed then.
    """
    access.require(actor, deploy.environment, Role.DEPLOYER)
    with transaction.atomic():
        ask_to_stop(actor, deploy)
        deploy.refresh_from_db(fields=CHANGED_BY_IT)
        if deploy.cancel_requested_at is None:
            raise ended(deploy)
        if then_roll_back and deploy.state == State.CANCELLING:
            undoing.roll_back_after_cancel(actor, deploy, idempotency_key=idempotency_key)
        elif then_roll_back and deploy.started_at and not undoing.follower(deploy):
            raise ended(deploy)  # somebody else stopped it, without a rollback
    return State(deploy.state)


def ask_to_stop(actor: Actor, deploy: Deploy) -> None:
    """Notes the request, once. A waiting deploy is ended with it."""
    rows = Deploy.objects.filter(pk=deploy.pk, cancel_requested_at=None)
    asked = {"cancel_requested_at": timezone.now(), "cancelled_by": actor.text[:150]}
    if rows.filter(state__in=(State.QUEUED, State.WAITING)).update(**asked) == 1:
        audit(actor, "deploy.cancel_requested", deploy)
        ending.end_unstarted(deploy, State.CANCELLED, f"{actor.text} cancelled it before it started.")
    elif rows.filter(state=State.RUNNING).update(state=State.CANCELLING, **asked) == 1:
        audit(actor, "deploy.cancel_requested", deploy)
        transaction.on_commit(lambda: Bell(deploy.run_id).ring(CHANGED))


def ended(deploy: Deploy) -> Refused:
    """It is too late to stop it."""
    return Refused(
        f"Deploy #{deploy.number} has ended ({deploy.get_state_display().lower()}); there is nothing to cancel.",
        hint="To undo it, roll back.",
        code="ended",
    )
