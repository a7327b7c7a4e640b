"""The new deploy page: choose a revision, read the preview, request the deploy."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from adapters.errors import ExternalError, NotFound
from adapters.git.repository import Commit, GitRepository, commit_url
from audit.actors import person
from core.errors import Refused
from core.findings import WARNING, Finding
from core.kept import keeps
from deployments.gate import marking, requests, turns
from deployments.models import Deploy
from deployments.pages.forms import DeployForm
from deployments.preparation.image_availability import not_built
from deployments.preparation.preview import Preview, preview
from deployments.queries import light, succeeded
from engine.cluster.dryrun import ObjectChange
from engine.errors import SlipwayError
from engine.types import Action
from projects.access import environment_for, may_secret
from projects.connections import git_repository
from projects.models import Environment, Role
from runs.models import OPEN

SHOWN_COMMITS = 30
MOST_BRANCHES = 50
LONGEST_OPEN = 60  # lines of a diff
FETCH_SECONDS = 5.0
FRESH_SECONDS = 15.0


@dataclass(frozen=True)
class Pick:
    """A revision to choose. `places`: slugs of environments whose last succeeded deploy was of this revision. `lacks_image`:
    the registry certainly lacks one of its images."""

    commit: Commit
    places: tuple[str, ...]
    chosen: bool
    lacks_image: bool = False


@dataclass(frozen=True)
class Choice:
    """The left side of the page. `asked`: the revision as typed; `notice`: why the list may be out of date; `problem`: why no
    revision is chosen, with `hint`."""

    branch: str = ""
    branches: tuple[str, ...] = ()
    picks: tuple[Pick, ...] = ()
    chosen: Commit | None = None
    asked: str = ""
    notice: str = ""
    problem: str = ""
    hint: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(DeployForm)
def new(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: the page. POST: requests the deploy; when it is refused, the page again with the reason (status 422)."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    if request.method != "POST":
        choice = with_built(place, choose(place, request.GET))
        return render(
            request, "deployments/new.html", context_of(request.user, place, choice, see="see" in request.GET)
        )
    bad = marking.bad_release_of(place, request.POST.get("revision", "")[:40])
    form = DeployForm(request.POST, environment=place, bad=marking.warning(bad))
    if form.is_valid():
        data = form.cleaned_data
        try:
            answer = requests.request_deploy(
                person(request.user), environment=place, revision=data["revision"], reason=data["reason"],
                idempotency_key=data["key"],
            )  # fmt: skip
            return redirect("deployments:deploy", answer.deploy.number)
        except (Refused, ExternalError) as error:
            form.add_error(None, f"{error.message} {error.hint}".strip())
    asked = {"revision": request.POST.get("revision", ""), "branch": request.POST.get("branch", "")}
    choice = with_built(place, choose(place, asked))
    return render(
        request,
        "deployments/new.html",
        context_of(request.user, place, choice, see=True, form=form),
        status=422,
    )


@require_safe
def preview_part(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: only the right side (preview and button), for htmx."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    choice = choose(place, request.GET)
    response = render(
        request, "deployments/partials/_preview.html", context_of(request.user, place, choice, see=True)
    )
    if choice.chosen:  # reloading the page shows the same revision
        chosen = urlencode({"branch": choice.branch, "revision": choice.chosen.sha})
        response["HX-Replace-Url"] = f"{reverse('deployments:new', args=[project, environment])}?{chosen}"
    return response


def context_of(
    user: Any, place: Environment, choice: Choice, *, see: bool, form: DeployForm | None = None
) -> dict[str, Any]:
    """The page's context. With `see` the preview is made now, else the page fetches it after loading."""
    url = place.project.repository_url
    bad = marking.warning(marking.bad_release_of(place, choice.chosen.sha)) if choice.chosen else ""
    names = may_secret(user, place, "names")
    made = warned(preview(place, choice.chosen, names=names), bad) if see and choice.chosen else None
    changed = [change for change in made.changes if change.action != "unchanged"] if made else []
    return {
        "environment": place,
        "project": place.project,
        "choice": choice,
        "preview": made,
        "commits": [(commit, commit_url(url, commit.sha)) for commit in made.commits] if made else [],
        "changed": [(change, opens(change)) for change in changed],
        "unchanged": [change for change in made.changes if change.action == "unchanged"] if made else [],
        "form": form or DeployForm(environment=place),
        "key": uuid.uuid4().hex,
        "bad": bad,
        "open_deploys": sorted(
            light(Deploy.objects.filter(environment=place, state__in=OPEN)),
            key=turns.place,
        ),
    }


def warned(made: Preview, bad: str) -> Preview:
    """The preview with `bad` (a mark on this revision) as a warning. Not cached with it: people can mark it at any time."""
    if not bad:
        return made
    hint = "Deploying it again makes a new release; tick the box below to go on."
    return replace(made, findings=(*made.findings, Finding(WARNING, bad, hint)))


def opens(change: ObjectChange) -> bool:
    """Whether the object's diff is unfolded: errors, and changes with a short diff. New objects have a long one."""
    return bool(change.error) or (change.action == Action.CHANGE and len(change.diff) <= LONGEST_OPEN)


def choose(place: Environment, query: Any) -> Choice:
    """The commits to choose from. `query`: branch, and revision (a commit, branch or tag; empty: the branch's newest commit).

    For an unknown revision, the branch's commits are listed without a chosen one. Raises nothing from outside.
    """
    branch = query.get("branch", "").strip() or place.project.default_branch
    asked = query.get("revision", "").strip()
    choice = Choice(branch=branch, asked=asked)
    try:
        repository = git_repository(place.project)
        choice = replace(choice, notice=fetched(repository))
        choice = replace(choice, branches=tuple(one.name for one in repository.branches()[:MOST_BRANCHES]))
        head = repository.resolve(branch)
        commits = repository.log(None, head.sha, SHOWN_COMMITS)
        places = places_of(place)
        choice = replace(choice, picks=picks_of(commits, places))
        chosen = named(repository, asked) if asked else head
    except SlipwayError as error:
        return replace(choice, problem=error.message, hint=error.hint)
    if all(commit.sha != chosen.sha for commit in commits):
        commits = [chosen, *commits]
    return replace(choice, picks=picks_of(commits, places, chosen), chosen=chosen)


def named(repository: GitRepository, asked: str) -> Commit:
    """The commit with this name. An unknown one may have been pushed just now, so it fetches once more. Raises
    ExternalError."""
    try:
        return repository.resolve(asked)
    except NotFound:
        repository.fetch(max_age=0.0, timeout=FETCH_SECONDS)
        return repository.resolve(asked)


def picks_of(
    commits: Sequence[Commit], places: Mapping[str, Sequence[str]], chosen: Commit | None = None
) -> tuple[Pick, ...]:
    """The commits as choices, each with the environments (`places`, slugs by revision) that run it."""
    return tuple(Pick(commit, tuple(places.get(commit.sha, ())), commit == chosen) for commit in commits)


def with_built(place: Environment, choice: Choice) -> Choice:
    """The choice, with `lacks_image` set at commits whose images are missing."""
    missing = not_built(place.project, [pick.commit.sha for pick in choice.picks])
    picks = tuple(replace(pick, lacks_image=pick.commit.sha in missing) for pick in choice.picks)
    return replace(choice, picks=picks)


def fetched(repository: GitRepository) -> str:
    """Fetches the mirror with a short timeout. Returns a notice when that failed, else an empty string. Raises ExternalError
    when there is no mirror yet."""
    try:
        repository.fetch(max_age=FRESH_SECONDS, timeout=FETCH_SECONDS)
    except ExternalError as error:
        if repository.fetched_at() is None:
            raise
        return f"The newest commits may be missing: {error.message}"
    return ""


def places_of(place: Environment) -> dict[str, list[str]]:
    """Slugs of the project's environments by the revision of their newest succeeded deploy. One query."""
    newest = succeeded(OuterRef("pk")).values("revision")[:1]
    rows = Environment.objects.filter(project=place.project_id).annotate(good=Subquery(newest))
    found: dict[str, list[str]] = {}
    for slug, revision in rows.order_by("order", "slug").values_list("slug", "good"):
        found.setdefault(revision or "", []).append(slug)
    return found
