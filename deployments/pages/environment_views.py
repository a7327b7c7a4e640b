"""The environment page: live state, last deploys, secrets files and variables; and the page of its alarms."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from builds.pages.standing import build_of
from deployments.gate import automatic, secrets_alone
from deployments.models import Deploy
from deployments.pages import alarms, deploy_rows, going_back, history, overview
from deployments.preparation.secret_people import changed_by
from deployments.preparation.secret_state import secret_state
from deployments.records import record_of
from projects.access import environment_for, maintainers_text, may_secret, role_in
from projects.leaving.things import may_manage
from projects.models import Environment, Role

SHOWN = 10


@require_safe
def environment(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: one environment of a project that the person may see. An htmx request gets only the part that updates itself."""
    shown = environment_for(request.user, project, environment)
    view = environment_view(request.user, shown)
    recent = list(history.light_rows(shown.deploys.order_by("-number"))[:SHOWN])
    back = going_back.ways(recent, [view])
    context = {
        "view": view,
        "project": shown.project,
        "runs_build": build_of(shown.project_id, view.runs.revision) if view.runs else None,
        "record": record_of(shown, view.runs.revision).elsewhere(shown.pk) if view.runs else None,
        "alarms": alarms.recent(shown),
        "automatic": automatic.last_choice(shown) if shown.auto_deploy else None,
        "rows": deploy_rows.lines(recent, back),
        "has_ways_back": bool(back),
        "secrets": secrets_versions(shown, view.good),
        "variables": [variable["name"] for variable in shown.variables],
        "is_maintainer": view.role == Role.MAINTAINER,
        "ask": "" if view.may_deploy or shown.is_archived else maintainers_text(shown.project),
        "may_restore": shown.is_archived and may_manage(request.user, shown),
    }
    part = "deployments/_environment_live.html" if request.htmx else "deployments/environment.html"  # type: ignore[attr-defined]
    return render(request, part, context)


@require_safe
def alarm_history(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: a page of the alarms of an environment of a project that the person may see."""
    shown = environment_for(request.user, project, environment)
    page = alarms.page(shown, request.GET)
    context = {"environment": shown, "project": shown.project, "page": page, "query": request.GET.urlencode()}
    return render(request, "deployments/alarms.html", context)


@require_safe
def changed_secrets(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """For htmx: which secret keys have changed in AWS since what runs, and the button that deploys them alone."""
    shown = environment_for(request.user, project, environment)
    role = role_in(request.user, shown.project, shown)
    release, why_not = secrets_alone.base_of(shown)
    state = secret_state(shown, release) if release else None
    sees_names = may_secret(request.user, shown, "names")
    context = {
        "environment": shown,
        "state": state,
        "changed_by": changed_by(shown, release.secret_versions, state.versions, state.changes)
        if release and state and sees_names
        else "",
        "why_not": why_not,
        "sees_names": sees_names,
        "may_deploy": role is not None and role.rank >= Role.DEPLOYER.rank,
    }
    return render(request, "deployments/partials/_changed_secrets.html", context)


def environment_view(user: Any, shown: Environment) -> overview.EnvironmentView:
    """The view of one environment, with its way back. The caller has checked the user's right to it."""
    return going_back.with_ways_back([going_back.of_environment(user, shown)])[0]


def secrets_versions(shown: Environment, good: Deploy | None) -> list[dict[str, str]]:
    """The secrets files: path, AWS secret and the first characters of the version that was deployed last."""
    deployed = good.release.secret_versions if good and good.release else {}
    return [
        {"path": file.path, "secret_id": file.secret_id, "version": str(deployed.get(file.path, ""))[:8]}
        for file in shown.secrets_files.all()
    ]
