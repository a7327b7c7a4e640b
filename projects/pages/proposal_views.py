"""The page that proposes what a project's repository has, and saves what was chosen in one step."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.kept import keeps
from projects.lookup import settings_of
from projects.models import Cluster, Project, Registry
from projects.pages.proposal_forms import ProposalForm
from projects.pages.proposal_rows import EnvironmentRows, FileRows, ImageRows, VariableRows
from projects.pages.saving import settings_page
from projects.reading.accepting import Accepted, NotAccepted, accept
from projects.reading.proposing import proposed
from projects.reading.scan import scan
from ui.forms import posted


@require_http_methods(["GET", "POST"])
@keeps(EnvironmentRows, VariableRows, FileRows, ImageRows)
def proposals(request: HttpRequest, slug: str) -> HttpResponse:
    """What the repository has that the project has not. Reading waits some seconds for the host at most."""
    project = settings_of(request.user, slug)
    found = scan(project, ask=request.method != "POST")
    form = ProposalForm(project, proposed(project, found), posted(request))
    if request.method == "POST" and form.is_valid() and _saved(request, project, form):
        return redirect("portal:project", slug)
    return settings_page(
        request, "proposals", project, "environments", found=found, proposal=form, cards=list(form.cards()),
        refused=form.is_bound, has_cluster=Cluster.objects.current().exists(),
        has_registry=Registry.objects.current().exists(),
    )  # fmt: skip


def _saved(request: HttpRequest, project: Project, form: ProposalForm) -> bool:
    try:
        done = accept(person(request.user), project, form.chosen_environments(), form.chosen_images())
    except NotAccepted as error:
        form.refuse(error.problems)
        return False
    messages.success(request, _told(done))
    return True


def _told(done: Accepted) -> str:
    parts = [
        f"{number} {word}{'s' if number != 1 else ''}"
        for number, word in (
            (done.environments, "environment"),
            (done.files, "secrets file"),
            (done.images, "image"),
        )
        if number
    ]
    if not parts:
        return "There was nothing new to add."
    *first, last = parts
    return f"Added {', '.join(first)}{' and ' if first else ''}{last}."
