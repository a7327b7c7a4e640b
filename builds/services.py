"""What a person does with a build: cancel it, try it again, build it anew. Each function checks the right and audits."""

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
    """Asks a build to stop, and returns its state afterwards. Idempotent. A waiting one ends at once; a running one stops within
    seconds, and images that were pushed stay. Raises Refused (role, ended)."""
    require_deployer(actor, build.project)
    with transaction.atomic():
        if not ask_to_stop(LIFE, actor, build):
            raise Refused(
                f"Build #{build.number} has ended ({build.get_state_display().lower()}); there is nothing to cancel.",
                hint="Images in the registry stay there.",
                code="ended",
            )
    return State(build.state)


def retry_build(actor: Actor, build: Build, *, key: str = "") -> Answer:
    """Builds the same revision again: images that are in the registry stay as they are. `key`: of the request, so that a repeated
    one opens no second build. Raises Refused (role, open, no-images)."""
    return _again(actor, build, Build.Cause.RETRY, key)


def rebuild(actor: Actor, build: Build, *, key: str = "") -> Answer:
    """Builds all images of the revision anew: without the cache, also those that are in the registry. Raises as `retry_build`."""
    return _again(actor, build, Build.Cause.REBUILD, key)


def _again(actor: Actor, build: Build, cause: Build.Cause, key: str) -> Answer:
    require_deployer(actor, build.project)
    if build.is_open:
        raise Refused(
            f"Build #{build.number} has not ended.", hint="Wait for its end, or cancel it.", code="open"
        )
    commit = Commit(build.revision, build.subject, build.author, build.created_at)
    order = Order(
        commit, branch=build.branch, git_tags=build.git_tags, also_for=build.also_for, cause=cause,
        is_fresh=cause == Build.Cause.REBUILD, retry_of=build, key=key,
    )  # fmt: skip
    return request_build(actor, build.project, order)
