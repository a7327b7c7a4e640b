"""Tidies the repositories' mirrors once a day. Every fetch adds files to them, and many files make Git slow."""

from __future__ import annotations

import structlog

from adapters.errors import ExternalError
from core.jobs import enqueue, slot
from projects.connections import git_repository
from projects.models import Project

log = structlog.get_logger(__name__)
LOOK_SECONDS = 3600


def tidy(project_id: int) -> None:
    """The job of the queue `git`. It skips a mirror that was tidied within a day, that another process uses, or that is
    not on this machine. The tick tries again in an hour."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        return
    try:
        if git_repository(project).tidy():
            log.info("mirror tidied", project=project.slug)
    except ExternalError as error:
        log.info("mirror not tidied", project=project.slug, error=error.message)


def tidy_all() -> None:
    """The tick: enqueues a job for each project. The job sees from the mirror on its machine whether it is due."""
    for project_id in Project.objects.values_list("pk", flat=True):
        enqueue(
            "projects.mirrors.tidy", project_id, queue="git", job_id=f"tidy-{project_id}-{slot(LOOK_SECONDS)}"
        )
