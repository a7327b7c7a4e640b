"""`{% github_refusals project %}`: notices about what GitHub does not take of a project, and nothing when all is well."""

from __future__ import annotations

from django import template

from notify.github import refusals
from notify.models import GitHubRefusal
from projects.models import Project

register = template.Library()


@register.inclusion_tag("notify/github_refusals.html")
def github_refusals(project: Project) -> dict[str, list[GitHubRefusal]]:
    """The notices of one project; none of an archived one."""
    return {"refusals": [] if project.archived_at else refusals(project)}
