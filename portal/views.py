"""The pages that span several apps: the board and a project's page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from builds.pages import project_panel
from builds.pages.build_parts import may_deploy
from deployments.pages import history, overview
from deployments.pages.deploy_rows import by_day
from deployments.pages.going_back import ways, with_ways_back
from deployments.records import of_running
from portal import board as boards
from portal import shared_board
from portal.first_deploy.checklist import is_over as first_deploy_is_over
from projects.access import project_for, role_in
from projects.models import Role
from projects.pages.first_steps import first_steps


@require_safe
def board(request: HttpRequest) -> HttpResponse:
    """The board. An htmx request gets only the part that changes by itself."""
    if request.htmx:  # type: ignore[attr-defined]
        return shared_board.answer(
            request, lambda: render_to_string("portal/_board.html", board_context(request))
        )
    return render(request, "portal/board.html", board_context(request))


def board_context(request: HttpRequest) -> dict[str, object]:
    """What the board's templates need. Of the person only their rights count, and what is theirs where they ask for that."""
    asked = request.GET
    shown = boards.board(
        request.user, query=asked.get("q", "").strip()[:100], after=asked.get("after", "")[:40],
        show=asked.get("show", ""), group=asked.get("group", "")[:40],
    )  # fmt: skip
    may_make: bool = request.user.is_admin  # type: ignore[union-attr]
    context: dict[str, object] = {"board": shown, "query": asked.urlencode(), "may_make": may_make}
    if not shown.project_count:
        context["first_steps"] = first_steps(request.user)
    return context


@require_safe
def project(request: HttpRequest, project: str) -> HttpResponse:
    """One project: its environments side by side, its builds, and its deploys in one timeline."""
    shown = project_for(request.user, project)
    page = history.project_page(shown, request.GET)
    views = with_ways_back(overview.of_project(request.user, shown))
    elsewhere = of_running(shown, {view.environment.pk: view.runs.revision for view in views if view.runs})
    builds = project_panel.panel(shown)
    role = role_in(request.user, shown)
    context = {
        "project": shown,
        "is_maintainer": role == Role.MAINTAINER,
        "may_build": may_deploy(role),
        "builds": builds,
        "views": [(view, elsewhere.get(view.environment.pk)) for view in views],
        "silent": boards.silences(views),
        "images": [image.name for image in shown.images.all() if not image.archived_at],
        "archived": shown.environments.archived().count(),
        "page": page,
        "days": by_day(page.rows, ways(page.rows, views)),
        "query": request.GET.urlencode(),
        "is_new": bool(views) and not first_deploy_is_over(shown),
    }
    part = "portal/_project.html" if request.htmx else "portal/project.html"  # type: ignore[attr-defined]
    return render(request, part, context)
