"""For the gates of deploys and builds, and for settings that choose a cluster or registry: looks under a lock whether something
was archived meanwhile, so that nothing begins in what is archived."""

from __future__ import annotations

from projects.access import archived, require_current
from projects.models import Cluster, Environment, Project, Registry


def lock_environment(environment: Environment) -> Environment:
    """The environment's row, locked. Raises Refused when it or its project is archived. Call it in a transaction."""
    row = Environment.objects.select_for_update().get(pk=environment.pk)
    # A query of its own, after the lock: archiving the project holds the locks of its environments.
    row.project = Project.objects.get(pk=row.project_id)
    require_current(row.project, row)
    return row


def lock_project(project: Project) -> Project:
    """The project's row, locked. Raises Refused when it is archived. Call it in a transaction."""
    row = Project.objects.select_for_update().get(pk=project.pk)
    require_current(row)
    return row


def lock_used(used: Cluster | Registry) -> None:
    """Locks a cluster or registry that a setting is about to name. Raises Refused when it is archived. Call it in a
    transaction."""
    row = type(used).objects.select_for_update().only("pk", "name", "archived_at").get(pk=used.pk)
    if row.archived_at:
        raise archived(f"The {type(used).__name__.lower()} {row.name}")
