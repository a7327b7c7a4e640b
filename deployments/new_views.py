"""The new deploy page: pick a revision, read what exactly will change, press the button."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from adapters.errors import ExternalError
from adapters.git import Commit, GitRepository, commit_url
from audit.actors import person
from core.errors import Refused
from deployments import services
from deployments.forms import DeployForm
from deployments.models import Deploy
from deployments.preview import last_verified, preview
from engine.errors import SlipwayError
from projects.access import environment_for
from projects.connections import git_repository
from projects.models import Environment, Role
from runs.models import OPEN

SHOWN_COMMITS = 30
FETCH_SECONDS = 5.0
FRESH_SECONDS = 15.0


@dataclass(frozen=True)
class Pick:
    """A revision that can be chosen. `places`: environments whose last good deploy was of it."""

    commit: Commit
    places: tuple[str, ...]
    chosen: bool


@dataclass(frozen=True)
class Choice:
    """What the left side shows. `notice`: why it may be out of date; `problem`: why nothing can be chosen."""

    branch: str = ""
    branches: tuple[str, ...] = ()
    picks: tuple[Pick, ...] = ()
    chosen: Commit | None = None
    notice: str = ""
    problem: str = ""
    hint: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: the page. POST: asks the gate; back to the page with the reason when it is refused."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    if request.method != "POST":
        choice = choose(place, request.GET)
        return render(request, "deployments/new.html", context_of(place, choice, see="see" in request.GET))
    form = DeployForm(request.POST, environment=place)
    if form.is_valid():
        data = form.cleaned_data
        try:
            answer = services.request_deploy(
                person(request.user), environment=place, revision=data["revision"], reason=data["reason"],
                idempotency_key=data["key"],
            )  # fmt: skip
            return redirect("deployments:deploy", answer.deploy.number)
        except (Refused, ExternalError) as error:
            form.add_error(None, f"{error.message} {error.hint}".strip())
    choice = choose(place, {"revision": request.POST.get("revision", "")})
    return render(request, "deployments/new.html", context_of(place, choice, see=True, form=form), status=422)


@require_safe
def see(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """The right side alone, for htmx: what would change, and the button."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    return render(
        request, "deployments/partials/_preview.html", context_of(place, choose(place, request.GET), see=True)
    )


def context_of(
    place: Environment, choice: Choice, *, see: bool, form: DeployForm | None = None
) -> dict[str, Any]:
    """The page's context. With `see` the preview is made now, else the page asks for it once it is shown."""
    url = place.project.repository_url
    made = preview(place, choice.chosen) if see and choice.chosen else None
    return {
        "environment": place,
        "project": place.project,
        "choice": choice,
        "preview": made,
        "commits": [(commit, commit_url(url, commit.sha)) for commit in made.commits] if made else [],
        "changed": [change for change in made.changes if change.action != "unchanged"] if made else [],
        "unchanged": [change for change in made.changes if change.action == "unchanged"] if made else [],
        "form": form or DeployForm(environment=place),
        "key": uuid.uuid4().hex,
        "open_deploys": list(
            Deploy.objects.filter(environment=place, state__in=OPEN)
            .defer("evidence", "warnings")
            .order_by("number")
        ),
    }


def choose(place: Environment, query: Any) -> Choice:
    """The commits to pick from. `query`: branch, revision (anything that names a commit; empty: the branch's newest)."""
    try:
        repository = git_repository(place.project)
        notice = fetched(repository)
        names = [branch.name for branch in repository.branches()]
        branch = query.get("branch") or place.project.default_branch
        text = query.get("revision", "").strip()
        head = repository.resolve(branch)
        chosen = repository.resolve(text) if text else head
        commits = repository.log(None, head.sha, SHOWN_COMMITS)
    except SlipwayError as error:
        return Choice(branch=query.get("branch", ""), problem=error.message, hint=error.hint)
    if all(commit.sha != chosen.sha for commit in commits):
        commits = [chosen, *commits]
    places = places_of(place)
    picks = tuple(Pick(c, tuple(places.get(c.sha, ())), c.sha == chosen.sha) for c in commits)
    return Choice(branch, tuple(names[:50]), picks, chosen, notice)


def fetched(repository: GitRepository) -> str:
    """Brings the mirror up to date, briefly; why it may not be, or empty."""
    try:
        repository.fetch(max_age=FRESH_SECONDS, timeout=FETCH_SECONDS)
    except ExternalError as error:
        if repository.fetched_at() is None:
            raise
        return f"The newest commits may be missing: {error.message}"
    return ""


def places_of(place: Environment) -> dict[str, list[str]]:
    """Environments of the project by the revision that was last put in place there."""
    found: dict[str, list[str]] = {}
    for environment in place.project.environments.all():
        release = last_verified(environment)
        if release:
            found.setdefault(release.revision, []).append(environment.slug)
    return found
