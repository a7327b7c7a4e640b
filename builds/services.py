"""What people do with a build: cancel, retry, rebuild. Each function checks the right and writes the audit event."""

from __future__ import annotations

from django.db import transaction

from adapters.git.repository import Commit
from audit.actors import Actor
from builds.life import LIFE
from builds.models import Build
from builds.requests import Answer, Order, request_build, require_deployer
from core.errors import Refused
from runs.life.cancelling import ask_to_stop
from runs.models import State


def cancel_build(actor: Actor, build: Build) -> State:
    """Asks a build to stop. Returns its state afterwards. Idempotent.

    A waiting build ends at once; a running one stops before its next step. Images that were pushed stay in the registry.
    Raises Refused (role, ended).
    """
    require_deployer(actor, build.project)
    with transaction.atomic():
        if not ask_to_stop(LIFE, actor, build):
            raise Refused(
                f"Build #{build.number} has ended ({build.get_state_display().lower()}); there is nothing to cancel.",
                code="ended",
            )
    return State(build.state)


def retry_build(actor: Actor, build: Build, *, key: str = "") -> Answer:
    """Requests the build of the same revision again; images that were pushed are not built again. Raises Refused (role, open,
    no-images)."""
    return _repeat(actor, build, Build.Cause.RETRY, is_fresh=False, key=key)


def rebuild(actor: Actor, build: Build, *, key: str = "") -> Answer:
    """Requests the build of the same revision without the cache, also of images that exist. Raises Refused (role, open,
    no-images)."""
    return _repeat(actor, build, Build.Cause.REBUILD, is_fresh=True, key=key)


def _repeat(actor: Actor, build: Build, cause: Build.Cause, *, is_fresh: bool, key: str) -> Answer:
    require_deployer(actor, build.project)
    if build.is_open:
        raise Refused(
            f"Build #{build.number} has not ended.", hint="Cancel it first, or wait for its end.", code="open"
        )
    commit = Commit(build.revision, build.subject, build.author, build.created_at)
    order = Order(
        commit,
        branch=build.branch,
        git_tags=build.git_tags,
        cause=cause,
        is_fresh=is_fresh,
        retry_of=build,
        key=key,
    )
    return request_build(actor, build.project, order)
