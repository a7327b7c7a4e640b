"""What follows from a build that has succeeded: a branch or tag that asked for it when it had given its tags already gets a build
of its own, which finds the images in the registry."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from adapters.git.repository import Commit
from audit.actors import SYSTEM_ACTOR
from builds.models import Build
from builds.pushes import BRANCH
from builds.requests import Order, request_build
from core.errors import Refused
from core.jobs import enqueue, slot
from runs.models import State

LOOK_SECONDS = 60
LOOKED_BACK = timedelta(days=1)
LOOKED_AT = 500  # newest builds; a search for those with further refs would read all that there ever were


def look_due() -> None:
    """Tick: enqueues a job for each of the newest builds that took up a branch or tag too late. Two queries."""
    since = timezone.now() - LOOKED_BACK
    builds = Build.objects.filter(state=State.SUCCEEDED, ended_at__gt=since, project__archived_at=None)
    rows = builds.order_by("-number").only("number", "also_for", "tagged_for")[:LOOKED_AT]
    late = {key_of(build): build.pk for build in rows if late_refs(build)}
    done = Build.objects.filter(idempotency_key__in=late).values_list("idempotency_key", flat=True)
    for key in set(late) - set(done):
        job_id = f"late-{late[key]}-{slot(LOOK_SECONDS)}"
        enqueue("builds.jobs.build_for_others", late[key], queue="short", job_id=job_id)


def late_refs(build: Build) -> list[str]:
    """The refs that a build took up after its step `tags`."""
    return [ref for ref in build.also_for if ref not in build.tagged_for]


def key_of(build: Build) -> str:
    """The idempotency key of the build that follows."""
    return f"late-{build.number}"


def build_for_others(build_id: int) -> None:
    """Job: asks for one more build of the revision, for the refs that came too late. Idempotent."""
    build = Build.objects.select_related("project").filter(pk=build_id, state=State.SUCCEEDED).first()
    late = late_refs(build) if build else []
    if build is None or not late:
        return
    branch = next((ref.removeprefix(BRANCH) for ref in late if ref.startswith(BRANCH)), "")
    order = Order(
        Commit(build.revision, build.subject, build.author, build.created_at), branch=branch, also_for=late,
        cause=Build.Cause.CATCH_UP, key=key_of(build),
    )  # fmt: skip
    try:
        request_build(SYSTEM_ACTOR, build.project, order)
    except Refused:
        return  # the project has no image any more
