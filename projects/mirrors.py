"""Tidies the repositories' mirrors once a day. Every fetch adds files to them, and many files make Git slow."""

from __future__ import annotations

import structlog
from django.conf import settings

from adapters.errors import ExternalError
from adapters.git import folders
from core.jobs import enqueue, slot
from engine.errors import SlipwayError
from projects.connections import repository_of
from projects.models import Project

log = structlog.get_logger(__name__)
LOOK_SECONDS = 3600
UNUSED_SECONDS = 7 * 86400.0


def tidy(project_id: int) -> None:
    """The job of the queue `git`. It skips a mirror that was tidied within a day, that another process uses, or that is
    not on this machine. The tick tries again in an hour."""
    project = Project.objects.current().filter(pk=project_id).first()
    if project is None:
        return
    try:
        if repository_of(project).tidy():
            log.info("mirror tidied", project=project.slug)
    except ExternalError as error:
        log.info("mirror not tidied", project=project.slug, error=error.message)


def remove_unused() -> None:
    """The job of the queue `git`: removes the mirrors of addresses and credentials that no project has any more. Removes
    nothing while a project's credential cannot be read, because its mirror's name is not known then."""
    try:
        used = {repository_of(project).mirror_name for project in Project.objects.all()}
    except SlipwayError as error:
        log.info("unused mirrors not removed", error=error.message)
        return
    for name in folders.remove_unused(settings.GIT_MIRRORS, used=used, older_than=UNUSED_SECONDS):
        log.info("unused mirror removed", mirror=name)


def tidy_all() -> None:
    """The tick: enqueues a job for each project that is not archived. The job sees from the mirror on its machine whether it is
    due."""
    enqueue("projects.mirrors.remove_unused", queue="git", job_id=f"unused-mirrors-{slot(86400)}")
    for project_id in Project.objects.current().values_list("pk", flat=True):
        enqueue(
            "projects.mirrors.tidy", project_id, queue="git", job_id=f"tidy-{project_id}-{slot(LOOK_SECONDS)}"
        )
