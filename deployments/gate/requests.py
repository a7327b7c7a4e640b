"""The gate: every deploy, from the page, the command line or the API, is asked for here.

Each function takes the acting person, checks the right, writes the audit event, in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError, transaction

from adapters.git.repository import Commit
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from deployments.gate import revisions
from deployments.gate.kind import DEPLOY
from deployments.models import Deploy
from deployments.queries import last_revision
from projects import access
from projects.models import Environment, Role
from runs.life import opening
from runs.life.queue import enqueue_run
from runs.models import OPEN


@dataclass(frozen=True)
class Answer:
    """What the gate answered. `created` is False when an earlier request already asked for the same."""

    deploy: Deploy
    created: bool


def request_deploy(
    actor: Actor, *, environment: Environment, revision: str, reason: str = "", idempotency_key: str = "",
    override: str = "",
) -> Answer:  # fmt: skip
    """Asks for a revision (commit, branch or tag) to be deployed.

    `override`: why findings that a person may override do not stop this one deploy. The same key of the same actor, or the
    same commit while it waits or runs, is answered with that deploy. Raises Refused (role, unknown-revision) and
    ExternalError (the repository cannot be reached); nothing is changed then.
    """
    require_deployer(actor, environment)
    known = by_key(actor, idempotency_key)
    if known:
        return Answer(known, created=False)
    commit = revisions.resolve(environment.project, revision)
    return open_deploy(
        actor, environment, commit, requested=revision.strip(), reason=reason, idempotency_key=idempotency_key,
        override=override.strip(),
    )  # fmt: skip


def request_rollback(
    actor: Actor, *, environment: Environment, target: Deploy, reason: str = "", idempotency_key: str = "",
    although_bad: bool = False,
) -> Answer:  # fmt: skip
    """Asks for the stored release of an earlier deploy to be applied again.

    Only a release that was verified can be gone back to; one that is marked bad only by who says so (`although_bad`).
    Raises Refused.
    """
    require_deployer(actor, environment)
    known = by_key(actor, idempotency_key)
    if known:
        return Answer(known, created=False)
    problem = why_no_rollback_to(target, environment, although_bad=although_bad)
    if problem:
        raise Refused(problem, hint="Choose a deploy that succeeded.", code="no-rollback")
    return open_rollback(actor, environment, target, reason=reason, idempotency_key=idempotency_key)


def open_rollback(
    actor: Actor, environment: Environment, target: Deploy, *, reason: str, idempotency_key: str = "",
    undoes: Deploy | None = None,
) -> Answer:  # fmt: skip
    """Opens the rollback to a deploy that can be gone back to. `undoes`: the deploy whose cancel or failure it follows. What
    was overridden for the release stays so: it was verified with it."""
    commit = Commit(target.revision, target.subject, target.author, target.release.authored_at)  # type: ignore[union-attr,arg-type]
    return open_deploy(
        actor, environment, commit, requested=f"#{target.number}", reason=reason, idempotency_key=idempotency_key,
        rolls_back_to=target, undoes=undoes, override=target.override_reason,
    )  # fmt: skip


def why_no_rollback_to(target: Deploy, environment: Environment, *, although_bad: bool = False) -> str:
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
    if target.release.is_bad and not although_bad:
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
    rolls_back_to: Deploy | None = None, undoes: Deploy | None = None, override: str = "",
) -> Answer:  # fmt: skip
    """The transaction of the gate. Locks, freezes and approvals find their place after the row lock."""
    try:
        with transaction.atomic():
            # One gate per environment at a time: two clicks of two people are put in an order here.
            Environment.objects.select_for_update().get(pk=environment.pk)
            same = same_request(environment, commit.sha, rolls_back_to, override)
            if same:
                goes_first(same, undoes)
                DEPLOY.audit(actor, "deploy.repeated", same)
                return Answer(same, created=False)
            deploy = create(
                actor,
                environment,
                commit,
                requested,
                reason,
                idempotency_key,
                rolls_back_to,
                undoes,
                override,
            )
            DEPLOY.audit(actor, "deploy.requested", deploy, **audited(undoes, override))
            enqueue_run(DEPLOY, deploy)
        return Answer(deploy, created=True)
    except IntegrityError:
        known = by_key(actor, idempotency_key)
        if known is None:
            raise
        return Answer(known, created=False)


def audited(undoes: Deploy | None, override: str) -> dict[str, str]:
    """What the audit event of a request tells besides the deploy: what it undoes, and why checks are overridden."""
    facts = {"undoes": f"#{undoes.number}" if undoes else "", "override": override[:300]}
    return {name: text for name, text in facts.items() if text}


def same_request(
    environment: Environment, sha: str, rolls_back_to: Deploy | None, override: str = ""
) -> Deploy | None:
    """An open deploy that already does what is asked for: one without an override does less than one with it."""
    found = Deploy.objects.filter(
        environment=environment,
        state__in=OPEN,
        revision=sha,
        rolls_back_to=rolls_back_to,
        cancel_requested_at=None,
    )
    return (found.exclude(override_reason="") if override else found).first()


def goes_first(deploy: Deploy, undoes: Deploy | None) -> None:
    """Makes a rollback that somebody asked for already the one that follows the end of `undoes`."""
    if undoes is not None and Deploy.objects.filter(pk=deploy.pk, undoes=None).update(undoes=undoes):
        deploy.undoes = undoes


def create(
    actor: Actor,
    environment: Environment,
    commit: Commit,
    requested: str,
    reason: str,
    key: str,
    target: Deploy | None,
    undoes: Deploy | None,
    override: str,
) -> Deploy:
    """The row and its steps."""
    return opening.create(
        DEPLOY,
        actor,
        environment=environment,
        kind=Deploy.Kind.ROLLBACK if target else Deploy.Kind.DEPLOY,
        revision=commit.sha,
        requested=requested[:200],
        subject=commit.subject[:300],
        author=commit.author[:150],
        release=target.release if target else None,
        rolls_back_to=target,
        undoes=undoes,
        previous_revision=last_revision(environment.pk),
        reason=reason[:500],
        override_reason=override[:300],
        idempotency_key=key[:100] or None,
    )
