"""The new deploy page: pick a revision, read what exactly will change, press the button."""

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
from projects.access import environment_for
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
    """A revision that can be chosen. `places`: environments whose last good deploy was of it. `lacks_image`: the registry
    surely has not all of its images."""

    commit: Commit
    places: tuple[str, ...]
    chosen: bool
    lacks_image: bool = False


@dataclass(frozen=True)
class Choice:
    """What the left side shows. `asked`: what was typed as a revision; `notice`: why it may be out of date; `problem`: why
    nothing is chosen."""

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
    """GET: the page. POST: asks the gate; back to the page with the reason when it is refused."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    if request.method != "POST":
        choice = with_built(place, choose(place, request.GET))
        return render(request, "deployments/new.html", context_of(place, choice, see="see" in request.GET))
    bad = marking.bad_release_of(place, request.POST.get("revision", "")[:40])
    form = DeployForm(request.POST, environment=place, bad=marking.warning(bad))
    if form.is_valid():
        data = form.cleaned_data
        try:
            answer = requests.request_deploy(
                person(request.user), environment=place, revision=data["revision"], reason=data["reason"],
                idempotency_key=data["key"], override=data["override_reason"],
            )  # fmt: skip
            return redirect("deployments:deploy", answer.deploy.number)
        except (Refused, ExternalError) as error:
            form.add_error(None, f"{error.message} {error.hint}".strip())
    asked = {"revision": request.POST.get("revision", ""), "branch": request.POST.get("branch", "")}
    choice = with_built(place, choose(place, asked))
    return render(request, "deployments/new.html", context_of(place, choice, see=True, form=form), status=422)


@require_safe
def see(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """The right side alone, for htmx: what would change, and the button."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    choice = choose(place, request.GET)
    response = render(request, "deployments/partials/_preview.html", context_of(place, choice, see=True))
    if choice.chosen:  # what is shown has an address of its own
        chosen = urlencode({"branch": choice.branch, "revision": choice.chosen.sha})
        response["HX-Replace-Url"] = f"{reverse('deployments:new', args=[project, environment])}?{chosen}"
    return response


def context_of(
    place: Environment, choice: Choice, *, see: bool, form: DeployForm | None = None
) -> dict[str, Any]:
    """The page's context. With `see` the preview is made now, else the page asks for it once it is shown."""
    url = place.project.repository_url
    bad = marking.warning(marking.bad_release_of(place, choice.chosen.sha)) if choice.chosen else ""
    made = warned(preview(place, choice.chosen), bad) if see and choice.chosen else None
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
    """The preview with what people say against this revision; not kept with it, as they may say so at any time."""
    if not bad:
        return made
    hint = "Deploying it again makes a new release; tick the box below to go on."
    return replace(made, findings=(*made.findings, Finding(WARNING, bad, hint)))


def opens(change: ObjectChange) -> bool:
    """Whether the object's diff is unfolded: what changes, unless it is long. What is new is long by nature."""
    return bool(change.error) or (change.action == Action.CHANGE and len(change.diff) <= LONGEST_OPEN)


def choose(place: Environment, query: Any) -> Choice:
    """The commits to pick from. `query`: branch, revision (anything that names a commit; empty: the branch's newest).

    A revision that does not exist leaves the branch's commits to choose from.
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
    """The commit of that name; one that is not known may have been pushed a moment ago."""
    try:
        return repository.resolve(asked)
    except NotFound:
        repository.fetch(max_age=0.0, timeout=FETCH_SECONDS)
        return repository.resolve(asked)


def picks_of(
    commits: Sequence[Commit], places: Mapping[str, Sequence[str]], chosen: Commit | None = None
) -> tuple[Pick, ...]:
    """The commits with the environments where they were put in place last."""
    return tuple(Pick(commit, tuple(places.get(commit.sha, ())), commit == chosen) for commit in commits)


def with_built(place: Environment, choice: Choice) -> Choice:
    """The choice with a note at the commits whose images are missing."""
    missing = not_built(place.project, [pick.commit.sha for pick in choice.picks])
    picks = tuple(replace(pick, lacks_image=pick.commit.sha in missing) for pick in choice.picks)
    return replace(choice, picks=picks)


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
    """Environments of the project by the revision that was last put in place there; one query for all."""
    newest = succeeded(OuterRef("pk")).values("revision")[:1]
    rows = Environment.objects.filter(project=place.project_id).annotate(good=Subquery(newest))
    found: dict[str, list[str]] = {}
    for slug, revision in rows.order_by("order", "slug").values_list("slug", "good"):
        found.setdefault(revision or "", []).append(slug)
    return found
