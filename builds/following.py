"""What follows from a build that ended: branches and tags that asked for it when it had already given its tags."""

from __future__ import annotations

from adapters.git.repository import Commit
from audit.actors import SYSTEM_ACTOR
from builds.models import Build
from builds.pushes import BRANCH
from builds.requests import Order, request_build
from core.errors import Refused
from runs.models import State


def build_for_others(build_id: int) -> None:
    """Job: asks for one more build of the revision, for the refs that the build did not tag. It finds the images in the registry.
    Idempotent."""
    build = Build.objects.select_related("project").filter(pk=build_id, state=State.SUCCEEDED).first()
    late = [ref for ref in build.also_for if ref not in build.tagged_for] if build else []
    if build is None or not late:
        return
    branch = next((ref.removeprefix(BRANCH) for ref in late if ref.startswith(BRANCH)), "")
    order = Order(
        Commit(build.revision, build.subject, build.author, build.created_at), branch=branch, also_for=late,
        cause=Build.Cause.CATCH_UP, key=f"late-{build.number}",
    )  # fmt: skip
    try:
        request_build(SYSTEM_ACTOR, build.project, order)
    except Refused:
        return  # the project has no image any more
