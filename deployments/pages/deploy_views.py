"""The page of one deploy, its live updates, and its buttons."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit.actors import person
from builds.pages.standing import build_of
from core.kept import keeps
from deployments.gate import cancelling, marking, requests
from deployments.gate.doubts import doubts
from deployments.lookup import deploy_for, may_still_see
from deployments.models import Deploy
from deployments.pages import deploy_page, deploy_reading
from deployments.pages.forms import CancelForm, ConfirmedForm
from projects.access import may_secret, role_in
from projects.models import Role
from projects.picking import commits_between
from runs import live_log
from runs.models import State


@require_safe
def deploy(request: HttpRequest, number: int) -> HttpResponse:
    """GET: the whole page."""
    found = deploy_for(request.user, number)
    shown = shown_to(request.user, found)
    stream_url = reverse("deployments:stream", args=[number])
    context = {
        **context_of(request, shown),
        **live_log.context(request, found, shown.steps, stream_url=stream_url),
        "commits": commits_between(found.environment.project, found.previous_revision, found.revision),
    }
    return render(request, "deployments/deploy.html", context)


@require_safe
def progress(request: HttpRequest, number: int) -> HttpResponse:
    """GET: the part above the log, for htmx while the deploy runs."""
    found = deploy_for(request.user, number)
    shown = shown_to(request.user, found)
    context = {**context_of(request, shown), "is_fragment": True, "was": request.GET.get("was", "")}
    return render(request, "deployments/partials/_progress_news.html", context)


def shown_to(user: Any, found: Deploy) -> deploy_page.Page:
    """The page's data, with names of secret keys for those who may see them."""
    return deploy_reading.page(found, user, sees_names=may_secret(user, found.environment, "names"))


def context_of(request: HttpRequest, shown: deploy_page.Page) -> dict[str, object]:
    """The context of both the page and its fragment."""
    environment = shown.deploy.environment
    role = role_in(request.user, environment.project, environment)
    return {
        "page": shown,
        "deploy": shown.deploy,
        "environment": environment,
        "revision_build": build_of(environment.project_id, shown.deploy.revision),
        "may_deploy": role is not None and role.rank >= Role.DEPLOYER.rank,
        "may_set": role == Role.MAINTAINER,
        "may_edit_secrets": may_secret(request.user, environment, "edit"),
    }


@require_POST
@keeps(CancelForm)
def cancel(request: HttpRequest, number: int) -> HttpResponse:
    """POST: cancels the deploy, optionally followed by a rollback."""
    found = deploy_for(request.user, number, need=Role.DEPLOYER)
    form = CancelForm(request.POST)
    state = cancelling.cancel_deploy(
        person(request.user), deploy=found, then_roll_back=form.rolls_back, idempotency_key=form.key_sent
    )
    if state == State.CANCELLED and found.started_at is None:
        messages.success(request, f"Deploy #{number} was cancelled before it changed anything.")
    return redirect("deployments:deploy", number)


@require_POST
@keeps(ConfirmedForm)
def rollback(request: HttpRequest, number: int) -> HttpResponse:
    """POST: rolls the environment back to the release of this deploy."""
    found = deploy_for(request.user, number, need=Role.DEPLOYER)
    form = ConfirmedForm(request.POST, environment=found.environment, bad=marking.warning(found.release))
    if not form.is_valid():
        return refused(request, found, form)
    answer = requests.request_rollback(
        person(request.user),
        environment=found.environment,
        target=found,
        idempotency_key=form.cleaned_data["key"],
        although_bad=form.cleaned_data["although_bad"],
    )
    return redirect("deployments:deploy", answer.deploy.number)


@require_POST
@keeps(ConfirmedForm)
def again(request: HttpRequest, number: int) -> HttpResponse:
    """POST: deploys the same revision again, with the current secrets and variables."""
    found = deploy_for(request.user, number, need=Role.DEPLOYER)
    bad = " ".join(doubts(found.environment, found.revision, seen=found.number))
    form = ConfirmedForm(request.POST, environment=found.environment, bad=bad)
    if not form.is_valid():
        return refused(request, found, form)
    answer = requests.request_deploy(
        person(request.user), environment=found.environment, revision=found.revision,
        idempotency_key=form.cleaned_data["key"], although_bad=form.cleaned_data["although_bad"],
        branch=found.branch, seen=found.number,
    )  # fmt: skip
    return redirect("deployments:deploy", answer.deploy.number)


def refused(request: HttpRequest, found: Deploy, form: ConfirmedForm) -> HttpResponse:
    """Redirects to the page, with the form's errors as messages."""
    for errors in form.errors.values():
        messages.error(request, " ".join(map(str, errors)))
    return redirect("deployments:deploy", found.number)


@require_safe
def log(request: HttpRequest, number: int) -> HttpResponseBase:
    """GET: the log as a text file to download, or the lines after `?after=` as JSON for browsers without a stream."""
    return live_log.log_response(request, deploy_for(request.user, number), file_name=f"deploy-{number}.log")


@require_safe
async def stream(request: HttpRequest, number: int) -> HttpResponseBase:
    """GET: the live log and the changes of a deploy, as server-sent events."""

    def find() -> Deploy:
        return deploy_for(request.user, number)

    def may_read() -> bool:
        return may_still_see(request.session.session_key, number)

    return live_log.stream(request, await sync_to_async(find)(), may_read=may_read)
