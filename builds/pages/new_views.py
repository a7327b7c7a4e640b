"""The page "Build a revision": choose project and revision, then request the build. The list of revisions on the page of a new
deploy sends its form here, too."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from adapters.errors import ExternalError
from adapters.git.repository import Commit
from audit.actors import person
from builds.pages.build_views import leads_to
from builds.pages.forms import BuildForm
from builds.pages.standing import Standing, standings
from builds.requests import Answer, Order, request_build
from core.errors import Refused
from core.kept import keeps
from engine.errors import SlipwayError
from projects.access import project_for, visible_projects
from projects.connections import quick_repository
from projects.image_availability import in_registry
from projects.models import Project, Role
from projects.picking import Offer, fetched, has_commit, named, offer
from ui.refused import note


@dataclass(frozen=True)
class Pick:
    """A revision to choose, and how it stands (None where nothing is known)."""

    commit: Commit
    chosen: bool
    standing: Standing | None


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(BuildForm)
def new(request: HttpRequest) -> HttpResponse:
    """GET: the page; `?project=` names the project, `branch` and `revision` what is listed. POST: requests the build; when it
    is refused, the page again with the reason (status 422)."""
    if request.method != "POST":
        return render(request, "builds/new.html", context_of(request.user, request.GET, BuildForm()))
    form = BuildForm(request.POST)
    if form.is_valid():
        project = project_for(request.user, form.cleaned_data["project"], Role.DEPLOYER)
        try:
            answer = asked_for(request.user, project, form.cleaned_data)
        except (Refused, ExternalError) as error:
            note(error)
            form.add_error("revision" if isinstance(error, ExternalError) else None, said(error))
        else:
            return leads_to(request, answer)
    return render(request, "builds/new.html", context_of(request.user, request.POST, form), status=422)


def said(error: SlipwayError) -> str:
    """An error's message and hint in one text."""
    return f"{error.message} {error.hint}".strip()


def asked_for(user: Any, project: Project, data: dict[str, str]) -> Answer:
    """Requests the build of the revision that the form names. Raises Refused, ExternalError.

    The page's key is used together with the commit: one page offers many commits. The branch counts only if it has the commit:
    its tags, and rules that deploy it by itself, follow from it.
    """
    repository = quick_repository(project)
    fetched(repository)
    commit = named(repository, data["revision"].strip())
    key = f"{data['key']}-{commit.sha}" if data["key"] else ""
    branch = data["branch"].strip()
    if branch and not has_commit(repository, branch, commit):
        branch = ""
    return request_build(person(user), project, Order(commit, branch=branch, key=key))


def context_of(user: Any, query: QueryDict, form: BuildForm) -> dict[str, Any]:
    """The page's context. Without a project in the query, only a person's one project is chosen by itself."""
    projects = list(projects_to_build(user).order_by("slug"))
    slug = query.get("project", "") or (projects[0].slug if len(projects) == 1 else "")
    project = project_for(user, slug, Role.DEPLOYER) if slug else None
    made = offer(project, query) if project else Offer()
    return {
        "projects": projects,
        "project": project,
        "has_images": project is not None
        and project.images.current().exclude(recipe__is_built=False).exists(),
        "offer": made,
        "picks": picks_of(project, made) if project else [],
        "form": form,
        "key": uuid.uuid4().hex,
    }


def projects_to_build(user: Any) -> QuerySet[Project]:
    """The projects whose revisions the user may build."""
    if user.is_admin:
        return visible_projects(user).current()
    roles = [role for role in Role if role.rank >= Role.DEPLOYER.rank]
    held = user.memberships.filter(environment=None, role__in=roles)
    return Project.objects.current().filter(pk__in=held.values("project"))


def picks_of(project: Project, made: Offer) -> list[Pick]:
    """The commits of an offer, with how each stands."""
    shas = [commit.sha for commit in made.commits]
    found = standings(project, shas, in_registry(project, shas))
    return [Pick(commit, commit == made.chosen, found.get(commit.sha)) for commit in made.commits]
