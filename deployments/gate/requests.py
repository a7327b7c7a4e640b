"""The gate: pages, the command line and the API request every deploy and rollback here.

Each function takes the actor, checks their right, and writes the audit event in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction

from adapters.git.repository import Commit
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from core.storable import storable_text
from deployments.gate import doubts, plans, revisions, secret_pins
from deployments.gate.kind import DEPLOY
from deployments.gate.lengths import require_reasons
from deployments.models import Deploy, Plan
from deployments.queries import last_revision
from projects import access
from projects.leaving.locking import lock_environment
from projects.models import Environment, Role
from runs.life import opening
from runs.life.queue import enqueue_run
from runs.models import OPEN


@dataclass(frozen=True)
class Answer:
    """The gate's answer. `created` is False when an earlier request opened the same deploy."""

    deploy: Deploy
    created: bool


@dataclass(frozen=True)
class Order:
    """The checked content of a request. `requested`: the revision as typed; `key`: the idempotency key; `rolls_back_to`: the
    deploy to roll back to; `undoes`: the deploy whose cancel or failure this one follows; `secret_versions`: the VersionId by
    path of each secrets file that is pinned already; `override`: why findings that a person may override do not stop it;
    `plan`: the preview that was seen; `although`: what speaks against the revision, where the person confirmed it; `branch`: of
    the revision, where that is not on the default branch."""

    commit: Commit
    requested: str
    reason: str = ""
    key: str = ""
    kind: Deploy.Kind = Deploy.Kind.DEPLOY
    rolls_back_to: Deploy | None = None
    undoes: Deploy | None = None
    secret_versions: Mapping[str, str] = field(default_factory=dict)
    override: str = ""
    plan: Plan | None = None
    although: str = ""
    branch: str = ""


def request_deploy(
    actor: Actor, *, environment: Environment, revision: str, reason: str = "", idempotency_key: str = "",
    secret_versions: Mapping[str, str] | None = None, override: str = "", although_bad: bool = False, plan: str = "",
    branch: str = "", seen: int = 0, minds_failures: bool = True,
) -> Answer:  # fmt: skip
    """Requests the deploy of a revision (commit, branch or tag). One whose record speaks against it needs `although_bad`
    (`gate/doubts.py`; `seen`: number of the failed deploy that is repeated; `minds_failures`: whether failures count). `branch`:
    where the revision was picked.

    `secret_versions`: the VersionId by path of each secrets file, as a preview showed them. Without them the deploy is
    pinned to the current versions: here if AWS answers soon, else when its step reads them. `override`: why findings that
    a person may override do not stop this one deploy. `plan`: the key of the preview that was seen (`gate/plans.py`). A
    repeated key of the same actor returns the deploy of that key; a commit that waits or runs already with the same versions
    returns that deploy.
    Raises Refused (role, archived, reason, unknown-revision, bad-release, secret-versions, plan-changed) and ExternalError
    (repository unreachable); nothing is changed then.
    """
    require_deployer(actor, environment)
    require_reasons(reason, override)
    known = by_key(actor, idempotency_key)
    if known:
        return Answer(known, created=False)
    commit = revisions.resolve(environment.project, revision)
    against = doubts.doubts(environment, commit.sha, seen=seen, failures=minds_failures)
    if against and not although_bad:
        raise doubts.refusal(against)
    shown = plans.of_form(environment, plan, Deploy.Kind.DEPLOY, commit.sha)
    if shown is not None:
        plans.require_same_secrets(shown)
    versions = secret_pins.pinned(environment, secret_versions)
    order = Order(
        commit, revision.strip(), reason, idempotency_key, secret_versions=versions, override=override.strip(), plan=shown,
        although=" ".join(against), branch=revisions.other_branch(environment.project, commit.sha, branch or revision),
    )  # fmt: skip
    return open_deploy(actor, environment, order)


def request_rollback(
    actor: Actor, *, environment: Environment, target: Deploy, reason: str = "", idempotency_key: str = "",
    although_bad: bool = False,
) -> Answer:  # fmt: skip
    """Requests a rollback: the stored release of the deploy `target` is applied again.

    The release must be verified; one that is marked bad needs `although_bad`. A repeated key returns the deploy of that
    key. Raises Refused (role, archived, reason, no-rollback).
    """
    require_deployer(actor, environment)
    require_reasons(reason)
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
    """Opens the rollback to `target`, which the caller has checked. `undoes`: the deploy whose cancel or failure it follows. An
    override of the release stays: the release was verified with it."""
    commit = Commit(target.revision, target.subject, target.author, target.release.authored_at)  # type: ignore[union-attr,arg-type]
    order = Order(
        commit,
        f"#{target.number}",
        reason,
        idempotency_key,
        Deploy.Kind.ROLLBACK,
        rolls_back_to=target,
        undoes=undoes,
        override=target.override_reason,
        branch=target.branch,
    )
    return open_deploy(actor, environment, order)


def why_no_rollback_to(target: Deploy, environment: Environment, *, although_bad: bool = False) -> str:
    """Why no rollback to `target` is possible, in a sentence; empty when one is."""
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
    """The deploy that this actor requested with this idempotency key; None without a key or such a deploy."""
    if not key:
        return None
    return Deploy.objects.filter(actor_kind=actor.kind, actor_id=actor.id, idempotency_key=key).first()


def open_deploy(actor: Actor, environment: Environment, order: Order) -> Answer:
    """The gate's transaction: returns an equal open deploy, or creates the row with its steps, audits and enqueues it. Raises
    Refused where the environment was archived meanwhile."""
    try:
        with transaction.atomic():
            # The row lock puts simultaneous requests for one environment in an order.
            locked = lock_environment(environment)
            same = same_request(environment, order)
            if same:
                put_first(same, order.undoes)
                DEPLOY.audit(actor, "deploy.repeated", same)
                return Answer(same, created=False)
            if order.plan is not None:
                plans.require_unchanged(order.plan, locked)
            deploy = create(actor, environment, order)
            DEPLOY.audit(actor, "deploy.requested", deploy, **audited(order))
            enqueue_run(DEPLOY, deploy)
        return Answer(deploy, created=True)
    except IntegrityError:
        known = by_key(actor, order.key)
        if known is None:
            raise
        return Answer(known, created=False)


def audited(order: Order) -> dict[str, str]:
    """Further facts of the audit event: the deploy that it undoes, why checks are overridden, what speaks against it."""
    facts = {
        "undoes": f"#{order.undoes.number}" if order.undoes else "",
        "override": order.override[:300],
        "although": order.although[:500],
    }
    return {name: text for name, text in facts.items() if text}


def same_request(environment: Environment, order: Order) -> Deploy | None:
    """An open deploy of the same kind, revision, rollback target and (where they are pinned) versions of the secrets, without
    a cancel request, or None. A request with an override is equal only to a deploy with one."""
    same = Deploy.objects.filter(
        environment=environment,
        state__in=OPEN,
        kind=order.kind,
        revision=order.commit.sha,
        rolls_back_to=order.rolls_back_to,
        cancel_requested_at=None,
    )
    wanted = dict(order.secret_versions)
    if order.override:
        same = same.exclude(override_reason="")
    return next((deploy for deploy in same if not wanted or deploy.secret_versions == wanted), None)


def put_first(deploy: Deploy, undoes: Deploy | None) -> None:
    """Links a rollback that was requested before to the deploy it undoes, so that it goes first in the queue."""
    if undoes is not None and Deploy.objects.filter(pk=deploy.pk, undoes=None).update(undoes=undoes):
        deploy.undoes = undoes


def create(actor: Actor, environment: Environment, order: Order) -> Deploy:
    """Creates the deploy's row and its steps."""
    target, commit = order.rolls_back_to, order.commit
    return opening.create(
        DEPLOY,
        actor,
        environment=environment,
        kind=order.kind,
        revision=commit.sha,
        requested=order.requested[:200],
        subject=commit.subject[:300],
        author=commit.author[:150],
        release=target.release if target else None,
        rolls_back_to=target,
        undoes=order.undoes,
        previous_revision=last_revision(environment.pk),
        branch=order.branch[:200],
        reason=storable_text(order.reason)[:500],
        override_reason=storable_text(order.override)[:300],
        secret_versions=dict(order.secret_versions),
        plan=order.plan,
        idempotency_key=order.key[:100] or None,
    )
