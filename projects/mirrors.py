"""The repositories' mirrors are tidied once a day: every fetch adds files to them, and many files make Git slow."""

from __future__ import annotations

import time

import structlog

from adapters.errors import ExternalError
from core.jobs import enqueue
from projects.connections import git_repository
from projects.models import Project

log = structlog.get_logger(__name__)
LOOK_SECONDS = 3600


def tidy(project_id: int) -> None:
    """The job of the queue `short`. Does nothing to a mirror that was tidied within a day, that another process works
    on, or that is not on this machine: the next look is in an hour."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        return
    try:
        if git_repository(project).tidy():
            log.info("mirror tidied", project=project.slug)
    except ExternalError as error:
        log.info("mirror not tidied", project=project.slug, error=error.message)


def tidy_all() -> None:
    """The tick: one job for each project. The mirror itself knows whether it is due, on whichever machine the job runs."""
    slot = int(time.time()) // LOOK_SECONDS
    for project_id in Project.objects.values_list("pk", flat=True):
        enqueue("projects.mirrors.tidy", project_id, queue="short", job_id=f"tidy-{project_id}-{slot}")
