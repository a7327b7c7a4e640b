"""Deploys of the secrets alone: the release that runs, with new versions of its secrets files. Only workloads that read a
changed key restart.

The release is chosen when the deploy starts, not when it is requested, so it never undoes a deploy that ran before it in the
queue.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.git.repository import Commit
from audit.actors import Actor
from core.errors import Refused
from deployments.gate import plans, requests, secret_pins
from deployments.gate.lengths import require_reasons
from deployments.gate.requests import Answer, Order
from deployments.models import Deploy, Release
from deployments.queries import last_succeeded
from projects.models import Environment


def base_of(environment: Environment) -> tuple[Release | None, str]:
    """The release that gets new secrets, and an empty string; or None and the reason in a sentence."""
    live = last_succeeded(environment)
    if live is None or live.release is None:
        return None, "No deploy of this environment has succeeded yet."
    problem = requests.why_no_rollback_to(live, environment)
    if problem:
        return None, problem
    if not live.release.secret_versions:
        return None, "What runs was deployed without a secrets file."
    return live.release, ""


def commit_of(release: Release) -> Commit:
    """The commit of a release."""
    return Commit(release.revision, release.subject, release.author, release.authored_at)  # type: ignore[arg-type]


def request_secrets_deploy(
    actor: Actor, *, environment: Environment, reason: str = "", idempotency_key: str = "",
    secret_versions: Mapping[str, str] | None = None, override: str = "", plan: str = "",
) -> Answer:  # fmt: skip
    """Requests a deploy of the secrets alone. `secret_versions`, `override`, `plan` and repeated requests: as
    in `requests.request_deploy`.

    Raises Refused (role, archived, reason, no-release, secret-versions, plan-changed).
    """
    requests.require_deployer(actor, environment)
    require_reasons(reason, override)
    known = requests.by_key(actor, idempotency_key)
    if known:
        return Answer(known, created=False)
    release, why_not = base_of(environment)
    if release is None:
        raise Refused(
            f"The secrets cannot be deployed alone: {why_not} Nothing was started.",
            hint="Deploy a revision: that takes the secrets along.",
            code="no-release",
        )
    seen = plans.of_form(environment, plan, Deploy.Kind.SECRETS, release.revision)
    if seen is not None:
        plans.require_same_secrets(seen)
    versions = secret_pins.pinned(environment, secret_versions)
    order = Order(
        commit_of(release), "secrets", reason, idempotency_key, Deploy.Kind.SECRETS, secret_versions=versions,
        override=override.strip(), plan=seen,
    )  # fmt: skip
    return requests.open_deploy(actor, environment, order)
