"""The gate: every deploy, from the page, the command line or the API, is asked for here (design.md §4.1).

Each function takes the acting person, checks the right, writes the audit event, in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from adapters.git import Commit
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from deployments import ending, jobs, revisions
from deployments.models import STEPS, Deploy, DeployCounter
from projects import access
from projects.models import Environment, Role
from runs import steps
from runs.bell import CHANGED, Bell
from runs.models import OPEN, State


@dataclass(frozen=True)
class Answer:
    """What the gate answered. `created` is False when an earlier request already asked for the same."""

    deploy: Deploy
    created: bool


def request_deploy(
    actor: Actor, *, environment: Environment, revision: str, reason: str = "", idempotency_key: str = ""
) -> Answer:
    """Asks for a revision (commit, branch or tag) to be deployed.

    The same key of the same actor, or the same commit while it waits or runs, is answered with that deploy. Raises
    Refused (role, unknown-revision) and ExternalError (the repository cannot be reached); nothing is changed then.
    """
    require_deployer(actor, environment)
    known = by_key(actor, idempotency_key)
    if known:
        return Answer(known, created=False)
    commit = revisions.resolve(environment.project, revision)
    return open_deploy(
        actor, environment, commit, requested=revision.strip(), reason=reason, idempotency_key=idempotency_key
    )


def request_rollback(
    actor: Actor, *, environment: Environment, target: Deploy, reason: str = "", idempotency_key: str = ""
) -> Answer:
    """Asks for the stored release of an earlier deploy to be applied again.

    Only a release that was verified and is not marked bad can be gone back to. Raises Refused.
    """
    require_deployer(actor, environment)
    known = by_key(actor, idempotency_key)
    if known:
        return Answer(known, created=False)
    problem = why_no_rollback_to(target, environment)
    if problem:
        raise Refused(problem, hint="Choose a deploy that succeeded.", code="no-rollback")
    commit = Commit(target.revision, target.subject, target.author, target.release.authored_at)  # type: ignore[union-attr,arg-type]
    return open_deploy(
        actor, environment, commit, requested=f"#{target.number}", reason=reason, idempotency_key=idempotency_key,
        rolls_back_to=target,
    )  # fmt: skip


def why_no_rollback_to(target: Deploy, environment: Environment) -> str:
    """Empty when `target` can be gone back to, else the reason."""
    if target.environment_id != environment.pk:
        return f"Deploy #{target.number} belongs to another environment."
    if target.release is None or target.release.verified_at is None:
        return f"Deploy #{target.number} left no verified release to go back to."
    if not target.release.fits(environment):
        return (
            f"The release of deploy #{target.number} was made for {target.release.place}; "
            f"the environment is in {environment.place} now."
        )
    if target.release.marked_bad_by:
        return f"The release of deploy #{target.number} was marked bad by {target.release.marked_bad_by}."
    return ""


def require_deployer(actor: Actor, environment: Environment) -> None:
    """Raises Refused unless the actor may deploy here; the refused attempt is audited."""
    try:
        access.require(actor, environment, Role.DEPLOYER)
    except Refused as refusal:
        record(
            actor, "deploy.refused", target_kind="environment", target_id=environment.pk, target_text=environment.label,
            project=environment.project.slug, data={"reason": refusal.message},
        )  # fmt: skip
        raise


def by_key(actor: Actor, key: str) -> Deploy | None:
    """The deploy that this actor asked for with this key before."""
    if not key:
        return None
    return Deploy.objects.filter(actor_kind=actor.kind, actor_id=actor.id, idempotency_key=key).first()


def open_deploy(
    actor: Actor, environment: Environment, commit: Commit, *, requested: str, reason: str, idempotency_key: str,
    rolls_back_to: Deploy | None = None,
) -> Answer:  # fmt: skip
    """The transaction of the gate. Locks, freezes and approvals find their place after the row lock."""
    try:
        with transaction.atomic():
            # One gate per environment at a time: two clicks of two people are put in an order here.
            Environment.objects.select_for_update().get(pk=environment.pk)
            same = same_request(environment, commit.sha, rolls_back_to)
            if same:
                audit(actor, "deploy.repeated", same)
                return Answer(same, created=False)
            deploy = create(actor, environment, commit, requested, reason, idempotency_key, rolls_back_to)
            audit(actor, "deploy.requested", deploy)
            jobs.enqueue_deploy(deploy)
        return Answer(deploy, created=True)
    except IntegrityError:
        known = by_key(actor, idempotency_key)
        if known is None:
            raise
        return Answer(known, created=False)


def same_request(environment: Environment, sha: str, rolls_back_to: Deploy | None) -> Deploy | None:
    """An open deploy that already does what is asked for."""
    return Deploy.objects.filter(
        environment=environment,
        state__in=OPEN,
        revision=sha,
        rolls_back_to=rolls_back_to,
        cancel_requested_at=None,
    ).first()


def next_number() -> int:
    """The next public number. The counter's row is locked until the commit."""
    DeployCounter.objects.get_or_create(name="deploy")
    DeployCounter.objects.filter(name="deploy").update(last=F("last") + 1)
    return DeployCounter.objects.get(name="deploy").last


def create(
    actor: Actor,
    environment: Environment,
    commit: Commit,
    requested: str,
    reason: str,
    key: str,
    target: Deploy | None,
) -> Deploy:
    """The row and its steps."""
    deploy = Deploy.objects.create(
        number=next_number(),
        environment=environment,
        kind=Deploy.Kind.ROLLBACK if target else Deploy.Kind.DEPLOY,
        revision=commit.sha,
        requested=requested[:200],
        subject=commit.subject[:300],
        author=commit.author[:150],
        release=target.release if target else None,
        rolls_back_to=target,
        previous_revision=last_good_revision(environment.pk),
        reason=reason[:500],
        idempotency_key=key[:100] or None,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_text=actor.text[:150],
    )
    steps.create(deploy.run_id, STEPS)
    return deploy


def last_good_revision(environment_id: int) -> str:
    """What the newest deploy that succeeded put in place; empty before the first one."""
    good = Deploy.objects.filter(environment=environment_id, state=State.SUCCEEDED).order_by("-number")
    return good.values_list("revision", flat=True).first() or ""


def audit(actor: Actor, verb: str, deploy: Deploy, **data: object) -> None:
    """One audit event about a deploy."""
    record(
        actor, verb, target_kind="deploy", target_id=deploy.number,
        target_text=f"#{deploy.number} {deploy.environment.label} {deploy.short}",
        project=deploy.environment.project.slug, data={"revision": deploy.revision, "kind": deploy.kind, **data},
    )  # fmt: skip


def cancel_deploy(actor: Actor, *, deploy: Deploy) -> State:
    """Asks a deploy to stop; the state it is in now. Idempotent.

    A waiting one ends at once. A running one becomes `cancelling` and stops before its next write; what was applied
    stays. Raises Refused when the role is too weak or the deploy has ended.
    """
    access.require(actor, deploy.environment, Role.DEPLOYER)
    with transaction.atomic():
        rows = Deploy.objects.filter(pk=deploy.pk, cancel_requested_at=None)
        asked = {"cancel_requested_at": timezone.now(), "cancelled_by": actor.text[:150]}
        if rows.filter(state__in=(State.QUEUED, State.WAITING)).update(**asked) == 1:
            audit(actor, "deploy.cancel_requested", deploy)
            ending.end_unstarted(deploy, State.CANCELLED, f"{actor.text} cancelled it before it started.")
        elif rows.filter(state=State.RUNNING).update(state=State.CANCELLING, **asked) == 1:
            audit(actor, "deploy.cancel_requested", deploy)
            transaction.on_commit(lambda: Bell(deploy.run_id).ring(CHANGED))
    deploy.refresh_from_db()
    if deploy.cancel_requested_at is None:
        raise Refused(
            f"Deploy #{deploy.number} has ended ({deploy.get_state_display().lower()}); there is nothing to cancel.",
            hint="To undo it, roll back.",
            code="ended",
        )
    return State(deploy.state)
