"""Marking the release of a deploy as bad, and removing the mark."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from audit.actors import person
from core.kept import keeps
from deployments.gate import marking
from deployments.lookup import deploy_for
from deployments.pages.forms import MarkForm
from projects.models import Role


@require_POST
@keeps(MarkForm)
def mark(request: HttpRequest, number: int) -> HttpResponse:
    """POST: marks the release, so that no automatic rollback chooses it."""
    found = deploy_for(request.user, number, need=Role.DEPLOYER)
    form = MarkForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors["reason"])))
    elif marking.mark_bad(person(request.user), deploy=found, reason=form.cleaned_data["reason"]):
        messages.success(request, "The release is marked as bad: nothing rolls back to it by itself.")
    else:
        messages.info(request, "The release was marked as bad already.")
    return redirect("deployments:deploy", number)


@require_POST
def unmark(request: HttpRequest, number: int) -> HttpResponse:
    """POST: removes the mark, so that rollbacks can choose the release again."""
    found = deploy_for(request.user, number, need=Role.DEPLOYER)
    if marking.unmark(person(request.user), deploy=found):
        messages.success(request, "The mark is gone: rollbacks may choose this release again.")
    else:
        messages.info(request, "The release was not marked as bad.")
    return redirect("deployments:deploy", number)
