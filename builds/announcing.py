"""Tells GitHub of a build: the status of its commit, as outbox rows in the transaction that starts or ends the build."""

from __future__ import annotations

from django.conf import settings

from adapters.github import StatusState
from builds.models import Build, BuildSettings
from core.fields import Sealed
from notify.github import tell_status
from runs.life.hooks import End
from runs.models import State

_STATES: dict[str, StatusState] = {
    State.SUCCEEDED: "success",
    State.FAILED: "failure",
    State.TIMED_OUT: "failure",
}  # others say nothing of the commit: `error`


def url_of(build: Build) -> str:
    """The absolute address of the build's page."""
    return f"{settings.BASE_URL}/builds/{build.number}/"


def tell_started(build: Build) -> None:
    """Queues the status `pending` of the build's commit."""
    said = f"Build #{build.number} runs."
    key = f"build-{build.number}-started"
    tell_status(build.project, build.revision, "pending", said, url_of(build), key=key)


def tell_ended(build: Build, end: End) -> None:
    """Queues the status that the build's end means. Writes nothing for a build that never started, except one that another
    system reported."""
    if build.started_at is None and build.cause != Build.Cause.REPORT:
        return
    state = _STATES.get(end.state, "error")
    said = build.result or f"Build #{build.number} {State(end.state).label.lower()}."
    tell_status(build.project, build.revision, state, said, url_of(build), key=f"build-{build.number}-ended")


def own_token(project_id: int) -> Sealed | None:
    """The project's own token for GitHub; None when the site's counts."""
    rows = BuildSettings.objects.filter(project_id=project_id)
    return rows.values_list("github_token", flat=True).first() or None
