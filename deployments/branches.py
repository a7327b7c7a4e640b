"""Keeps the newest commits of each project's default branch in rows, so that pages say "3 behind" without asking Git."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from adapters.errors import ExternalError
from adapters.git.repository import Commit
from core import changes
from core.jobs import enqueue, slot
from core.redactor import redact_text
from deployments.models import BranchState
from projects.connections import git_repository
from projects.contacts import git_host, note_answer, note_error
from projects.models import Project

KEPT = 200
FRESH_SECONDS = 60.0
FETCH_SECONDS = 60.0  # shorter than the job's time limit; the first deploy makes a clone that takes longer


def refresh_branch(project_id: int) -> BranchState | None:
    """Fetches the repository and stores the newest commits of the default branch. Returns the row; None when the project
    is archived or no longer exists.

    When the repository does not answer, the old commits stay and `error` gives the reason. Raises no ExternalError.
    """
    project = Project.objects.current().filter(pk=project_id).first()
    if project is None:
        return None
    now = timezone.now()
    try:
        commits = newest_commits(project)
        seen = {
            "head": commits[0].sha,
            "commits": [[c.sha, c.subject, c.author, c.authored_at.isoformat()] for c in commits],
            "fetched_at": now,
            "error": "",
        }
        note_answer(git_host(project))
    except ExternalError as error:
        seen = {"error": redact_text(error.message)[:500]}
        note_error(git_host(project), error)
    return store(project, {**seen, "tried_at": now})


@transaction.atomic
def store(project: Project, seen: dict[str, object]) -> BranchState:
    """Stores what a fetch has found, and tells open pages when it is something new."""
    branch: dict[str, Any] = {"project": project, "branch": project.default_branch}
    before = BranchState.objects.filter(**branch).values_list("head", "error").first()
    state, _ = BranchState.objects.update_or_create(**branch, defaults=seen)
    if before != (state.head, state.error):
        changes.note(project.slug)
    return state


def refresh(project_id: int) -> None:
    """Job of the queue `git`: refreshes one project's branch."""
    refresh_branch(project_id)


def refresh_due() -> None:
    """Tick: enqueues a refresh for every due project, at most one per project and minute."""
    for project_id in due_projects():
        enqueue(
            "deployments.branches.refresh", project_id, queue="git", job_id=f"branch-{project_id}-{slot(60)}"
        )


def newest_commits(project: Project) -> list[Commit]:
    """The newest KEPT commits of the default branch, newest first, along first parents. Raises ExternalError."""
    repository = git_repository(project)
    repository.fetch(max_age=FRESH_SECONDS / 2, timeout=FETCH_SECONDS)
    head = repository.resolve(f"refs/heads/{project.default_branch}")
    return repository.log(None, head.sha, KEPT, first_parent=True)


def due_projects(limit: int = 50) -> list[int]:
    """Ids of projects whose branch was not fetched for FRESH_SECONDS, oldest fetch first, at most `limit`."""
    states = BranchState.objects.filter(project=OuterRef("pk"), branch=OuterRef("default_branch"))
    projects = Project.objects.current().annotate(tried=Subquery(states.values("tried_at")[:1]))
    old = timezone.now() - timedelta(seconds=FRESH_SECONDS)
    due = projects.filter(Q(tried=None) | Q(tried__lt=old)).order_by(F("tried").asc(nulls_first=True))
    return list(due.values_list("pk", flat=True)[:limit])


def behind(state: BranchState | None, sha: str) -> int | None:
    """Number of commits of the branch after `sha`; None when `sha` is not among the stored commits."""
    if state is None or not sha:
        return None
    return next((place for place, commit in enumerate(state.commits) if commit[0] == sha), None)
