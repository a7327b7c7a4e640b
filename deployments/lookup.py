"""Fetching a deploy checks the user's right to it, as `projects/access.py` does for projects."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from deployments.models import Deploy
from projects.access import check, role_in, visible_filter
from projects.models import Role


def deploy_for(user: Any, number: int, need: Role = Role.VIEWER) -> Deploy:
    """The deploy with its environment, project and release. Raises Http404 when the user may not see it, Refused when
    their role is below `need`."""
    rows = Deploy.objects.filter(visible_filter(user), number=number)
    deploy = rows.select_related(
        "environment__project", "environment__cluster", "release", "rolls_back_to", "undoes"
    ).defer("release__objects_compressed").first()  # fmt: skip
    if deploy is None:
        raise Http404("No such deploy.")
    check(role_in(user, deploy.environment.project, deploy.environment), need, deploy.environment.project)
    return deploy
