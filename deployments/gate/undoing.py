"""Going back: to which release, and the rollbacks that follow the end of another deploy.

Such a rollback is a row of the queue from the moment it is decided: one that was asked for with a cancel is written with
that request, one that follows a failure with the end of the failed deploy. So nothing that dies meanwhile loses it.
"""

from __future__ import annotations

from audit.actors import SYSTEM_ACTOR, Actor
from core.errors import Refused
from deployments.gate import requests
from deployments.models import Deploy, ObjectState
from deployments.queries import last_good, last_succeeded, light
from runs.models import State

WRITTEN = ("create", "change")


def after_cancel(deploy: Deploy) -> tuple[Deploy | None, str]:
    """Where stopping a running deploy can lead back to; without such a deploy the reason, in a sentence."""
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
    """Queues the rollback that follows a deploy which is being cancelled. The right was checked; call it in the
    transaction of the cancel. Raises Refused when there is nothing to go back to."""
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
    """The rollback that follows this deploy's end, or followed it."""
    return light(deploy.undone_by.order_by("-number")).first()


def roll_back_after_failure(deploy: Deploy) -> Deploy | None:
    """Queues the rollback that follows a failed deploy by itself, where the environment wants that. None where not.

    Call it in the transaction that ends the deploy. Only a release that was found bad on the cluster is undone: what failed
    before its first write has changed nothing, a rollback that fails is left to people, and so is what somebody stopped.
    """
    environment = deploy.environment
    if deploy.state != State.FAILED or deploy.kind != Deploy.Kind.DEPLOY or deploy.cancel_requested_at:
        return None
    if not environment.rolls_back_by_itself or not written(deploy):
        return None
    target = last_good(environment, unlike=deploy)
    if target is None:
        return None
    reason = f"Deploy #{deploy.number} failed; this environment rolls back by itself."
    return requests.open_rollback(SYSTEM_ACTOR, environment, target, reason=reason, undoes=deploy).deploy


def written(deploy: Deploy) -> int:
    """How many objects the deploy has created or changed on the cluster."""
    return ObjectState.objects.filter(run_id=deploy.run_id, action__in=WRITTEN).count()


def sentence(rollback: Deploy) -> str:
    """What a rollback that follows does: `deploy #18 rolls back to 4a91d7e`."""
    return f"deploy #{rollback.number} rolls back to {rollback.short}"
