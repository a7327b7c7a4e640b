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

from adapters.errors import ExternalError
from adapters.git.repository import Commit, commit_url
from audit.actors import Actor, person
from builds.pages.build_parts import may_deploy
from builds.pages.standing import Standing, standings
from core.errors import Refused
from core.findings import WARNING, Finding
from core.kept import keeps
from deployments.gate import marking, plans, requests, secrets_alone, turns
from deployments.models import Deploy, Plan
from deployments.pages.forms import DeployForm
from deployments.pages.shown_versions import sealed
from deployments.preparation.preview import Preview, preview
from deployments.preparation.secret_people import changed_by
from deployments.queries import light, succeeded
from engine.cluster.changes import ObjectChange
from engine.types import Action
from projects.access import environment_for, may_secret, role_in
from projects.image_availability import in_registry
from projects.models import Environment, Role
from projects.picking import offer
from runs.models import OPEN
from ui.refused import note

LONGEST_OPEN = 60  # lines of a diff


@dataclass(frozen=True)
class Pick:
    """A revision to choose. `places`: slugs of environments whose last succeeded deploy was of this revision. `standing`: how
    its images stand, None where nothing is known."""

    commit: Commit
    places: tuple[str, ...]
    chosen: bool
    standing: Standing | None = None


@dataclass(frozen=True)
class Choice:
    """The left side of the page. `asked`: the revision as typed; `notice`: why the list may be out of date; `problem`: why no
    revision is chosen, with `hint`. `kind`: the kind of deploy; with `secrets` there is no revision to choose."""

    branch: str = ""
    branches: tuple[str, ...] = ()
    picks: tuple[Pick, ...] = ()
    chosen: Commit | None = None
    asked: str = ""
    kind: str = Deploy.Kind.DEPLOY
    notice: str = ""
    problem: str = ""
    hint: str = ""

    @property
    def is_secrets(self) -> bool:
        """Whether the secrets are deployed alone: there is no revision to pick."""
        return self.kind == Deploy.Kind.SECRETS

    @property
    def query(self) -> str:
        """What the page's address says of it."""
        if self.is_secrets:
            return urlencode({"kind": self.kind})
        return urlencode({"branch": self.branch, "revision": self.chosen.sha if self.chosen else self.asked})

    @property
    def button(self) -> str:
        """What the button does; the environment follows."""
        short = self.chosen.short if self.chosen else ""
        return f"Deploy the secrets of {short}" if self.is_secrets else f"Deploy {short}"


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(DeployForm)
def new(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: the page. POST: requests the deploy; when it is refused, the page again with the reason (status 422)."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    if request.method != "POST":
        choice = chosen_by(place, request.GET)
        return render(
            request, "deployments/new.html", context_of(request, place, choice, see="see" in request.GET)
        )
    form, stale = DeployForm(request.POST, environment=place), ""
    if form.is_valid():
        try:
            return redirect(
                "deployments:deploy", asked_for(person(request.user), place, form.cleaned_data).number
            )
        except (Refused, ExternalError) as error:
            note(error)
            stale = error.message if error.code == "plan-changed" else ""
            field = "although_bad" if error.code == "bad-release" else None
            form.add_error(field, f"{error.message} {error.hint}".strip())
    choice = chosen_by(place, {name: request.POST.get(name, "") for name in ("kind", "revision", "branch")})
    context = {**context_of(request, place, choice, see=True, form=form), "stale": stale}
    return render(request, "deployments/new.html", context, status=422)


def asked_for(actor: Actor, place: Environment, data: Mapping[str, Any]) -> Deploy:
    """What the gate makes of the form. Raises Refused, ExternalError."""
    more = {
        "reason": data["reason"],
        "idempotency_key": data["key"],
        "secret_versions": data["secret_versions"],
        "override": data["override_reason"],
        "plan": data["plan"],
    }
    if data["kind"] == Deploy.Kind.SECRETS:
        return secrets_alone.request_secrets_deploy(actor, environment=place, **more).deploy
    return requests.request_deploy(
        actor, environment=place, revision=data["revision"], although_bad=data["although_bad"], **more
    ).deploy


@require_safe
def preview_part(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: only the right side (preview and button), for htmx."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    choice = chosen_by(place, request.GET, quick=True)
    context = context_of(request, place, choice, see=True)
    response = render(request, "deployments/partials/_preview.html", context)
    if choice.chosen:  # reloading the page shows the same revision
        address = reverse("deployments:new", args=[project, environment])
        response["HX-Replace-Url"] = f"{address}?{choice.query}"
    return response


def context_of(
    request: HttpRequest, place: Environment, choice: Choice, *, see: bool, form: DeployForm | None = None
) -> dict[str, Any]:
    """The page's context. With `see` the preview is made now, else the page fetches it after loading."""
    url = place.project.repository_url
    bad = marking.warning(marking.bad_release_of(place, choice.chosen.sha)) if choice.chosen else ""
    made = None
    if see and choice.chosen:
        made = warned(preview(place, choice.chosen, choice.kind, person_id=request.user.pk), bad)
    sees_names = may_secret(request.user, place, "names")
    changed = (
        [shown(change, sees_names) for change in made.changes if change.action != "unchanged"] if made else []
    )
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
        "may_build": may_deploy(role_in(request.user, place.project)),
        "standing": standing_of(place, choice) if made else None,
        "bad": bad,
        "sees_names": sees_names,
        "changed_by": people(place, made) if made and sees_names else "",
        "secret_versions": sealed(place, made.secret_versions) if made else "",
        "plan": plan_of(place, made, choice.kind).key if made else "",
        "open_deploys": sorted(
            light(Deploy.objects.filter(environment=place, state__in=OPEN)),
            key=turns.place,
        ),
    }


def plan_of(place: Environment, made: Preview, kind: str) -> Plan:
    """Keeps what the preview shows, for the click."""
    return plans.keep(
        place,
        kind=kind,
        revision=made.commit.sha,
        secret_versions=dict(made.secret_versions),
        images={image.name: image.digest for image in made.images},
        actions=[(change.ref, change.action) for change in made.changes],
    )


def standing_of(place: Environment, choice: Choice) -> Standing | None:
    """How the images of the chosen revision stand; what the registry said is known from the list of revisions."""
    if choice.chosen is None or choice.is_secrets:
        return None
    sha = choice.chosen.sha
    return standings(place.project, [sha], in_registry(place.project, [sha])).get(sha)


def people(place: Environment, made: Preview) -> str:
    """Who changed the keys, for people who may see their names."""
    return changed_by(place, dict(made.live_versions), dict(made.secret_versions), made.secret_changes)


def warned(made: Preview, bad: str) -> Preview:
    """The preview with `bad` (a mark on this revision) as a warning. Not cached with it: people can mark it at any time."""
    if not bad:
        return made
    hint = "Deploying it again makes a new release; tick the box below to go on."
    return replace(made, findings=(*made.findings, Finding(WARNING, bad, hint)))


def shown(change: ObjectChange, sees_names: bool) -> ObjectChange:
    """The change as this person may see it: the diff of a Secret names its keys."""
    return change if sees_names or change.ref.kind != "Secret" else replace(change, diff=())


def opens(change: ObjectChange) -> bool:
    """Whether the object's diff is unfolded: errors, and changes with a short diff. New objects have a long one."""
    return bool(change.error) or (change.action == Action.CHANGE and len(change.diff) <= LONGEST_OPEN)


def chosen_by(place: Environment, query: Any, *, quick: bool = False) -> Choice:
    """What the address or the form asks for. `quick`: without a look at the registry."""
    if query.get("kind") == Deploy.Kind.SECRETS:
        return choose_secrets(place)
    choice = choose(place, query)
    return choice if quick else with_standings(place, choice)


def choose_secrets(place: Environment) -> Choice:
    """What runs, with other secrets: there is nothing to pick."""
    release, why_not = secrets_alone.base_of(place)
    if release is None:
        problem = f"The secrets cannot be deployed alone: {why_not}"
        return Choice(kind=Deploy.Kind.SECRETS, problem=problem, hint="Deploy a revision.")
    return Choice(kind=Deploy.Kind.SECRETS, chosen=secrets_alone.commit_of(release))


def choose(place: Environment, query: Any) -> Choice:
    """The commits to choose from (`projects.picking.offer`). Raises nothing from outside."""
    made = offer(place.project, query)
    return Choice(
        branch=made.branch,
        branches=made.branches,
        picks=picks_of(made.commits, places_of(place), made.chosen),
        chosen=made.chosen,
        asked=made.asked,
        notice=made.notice,
        problem=made.problem,
        hint=made.hint,
    )


def picks_of(
    commits: Sequence[Commit], places: Mapping[str, Sequence[str]], chosen: Commit | None = None
) -> tuple[Pick, ...]:
    """The commits as choices, each with the environments (`places`, slugs by revision) that run it."""
    return tuple(Pick(commit, tuple(places.get(commit.sha, ())), commit == chosen) for commit in commits)


def with_standings(place: Environment, choice: Choice) -> Choice:
    """The choice, with how the images of each commit stand."""
    shas = [pick.commit.sha for pick in choice.picks]
    found = standings(place.project, shas, in_registry(place.project, shas))
    picks = tuple(replace(pick, standing=found.get(pick.commit.sha)) for pick in choice.picks)
    return replace(choice, picks=picks)


def places_of(place: Environment) -> dict[str, list[str]]:
    """Slugs of the project's environments by the revision of their newest succeeded deploy. One query."""
    newest = succeeded(OuterRef("pk")).values("revision")[:1]
    rows = Environment.objects.current().filter(project=place.project_id).annotate(good=Subquery(newest))
    found: dict[str, list[str]] = {}
    for slug, revision in rows.order_by("order", "slug").values_list("slug", "good"):
        found.setdefault(revision or "", []).append(slug)
    return found
