"""Rollbacks that follow the cancel or failure of another deploy, and the release they go back to.

The rollback is stored in the transaction that decides it (the cancel request, or the end of the failed deploy), so a crash
cannot lose it.
"""

from __future__ import annotations

from django.db.models import QuerySet

from audit.actors import SYSTEM_ACTOR, Actor
from core.errors import Refused
from deployments.gate import requests
from deployments.models import Deploy, ObjectState
from deployments.queries import last_good, last_succeeded, light
from runs.models import State

WRITTEN = ("create", "change")


def after_cancel(deploy: Deploy) -> tuple[Deploy | None, str]:
    """The deploy to roll back to after cancelling `deploy`, and an empty string; or None and the reason in a sentence."""
    environment = deploy.environment
    good = last_good(environment)
    if good is not None and good.release_id == deploy.release_id:
        return None, "This deploy itself puts the last good release in place."
    if good is not None:
        return good, ""
    succeeded = last_succeeded(environment)
    if succeeded is None:
        return None, "No deploy of this environment has succeeded yet."
    return None, requests.why_no_rollback_to(succeeded, environment) or "No good release is left."


def roll_back_after_cancel(actor: Actor, deploy: Deploy, *, idempotency_key: str) -> Deploy:
    """Queues the rollback that follows a deploy in state `cancelling`. The caller has checked the right; call it in the
    transaction of the cancel. Raises Refused when there is no release to roll back to."""
    target, why_not = after_cancel(deploy)
    if target is None:
        raise Refused(
            f"There is no release to roll back to: {why_not} Nothing was stopped.",
            hint="Cancel again and choose “Stop here”.",
            code="no-rollback",
        )
    reason = f"{actor.text} stopped deploy #{deploy.number} and asked to roll back."
    return requests.open_rollback(
        actor, deploy.environment, target, reason=reason, idempotency_key=idempotency_key, undoes=deploy
    ).deploy


def follower(deploy: Deploy) -> Deploy | None:
    """The newest rollback that undoes `deploy`, or None."""
    return light(deploy.undone_by.order_by("-number")).first()


def roll_back_after_failure(deploy: Deploy) -> Deploy | None:
    """Queues the automatic rollback after a failed deploy, where the environment is set to do so. None otherwise.

    Call it in the transaction that ends the deploy. There is no automatic rollback when the deploy changed nothing on the
    cluster, was cancelled, or is a rollback itself: a person decides then.
    """
    environment = deploy.environment
    if deploy.state != State.FAILED or deploy.kind == Deploy.Kind.ROLLBACK or deploy.cancel_requested_at:
        return None
    if not environment.rolls_back_by_itself or not written(deploy):
        return None
    target = last_good(environment, unlike=deploy)
    if target is None:
        return None
    reason = f"Deploy #{deploy.number} failed; this environment rolls back by itself."
    return requests.open_rollback(SYSTEM_ACTOR, environment, target, reason=reason, undoes=deploy).deploy


def written(deploy: Deploy) -> int:
    """Number of objects that the deploy has created or changed on the cluster."""
    return written_objects(deploy).count()


def written_objects(deploy: Deploy) -> QuerySet[ObjectState]:
    """The objects that the deploy has created or changed on the cluster, in any attempt."""
    return ObjectState.objects.filter(run_id=deploy.run_id, action__in=WRITTEN)


def sentence(rollback: Deploy) -> str:
    """The following rollback in words: `deploy #18 rolls back to 4a91d7e`."""
    return f"deploy #{rollback.number} rolls back to {rollback.short}"
