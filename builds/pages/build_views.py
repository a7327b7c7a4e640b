"""The page of one build, its live updates, and its buttons."""

from __future__ import annotations

from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit.actors import person
from builds import services
from builds.lookup import build_for, may_still_see
from builds.models import Build
from builds.pages import build_page
from builds.pages.build_parts import may_deploy
from builds.pages.forms import AgainForm
from builds.requests import Answer
from core.kept import keeps
from projects.access import role_in
from projects.models import Role
from projects.picking import commits_between
from runs import live_log
from runs.models import State


@require_safe
def build(request: HttpRequest, number: int) -> HttpResponse:
    """GET: the whole page."""
    found = build_for(request.user, number)
    shown = page_of(request, found)
    previous = shown.previous.revision if shown.previous else ""
    context = {
        "page": shown,
        "build": found,
        **live_log.context(request, found, shown.steps, stream_url=reverse("builds:stream", args=[number])),
        "commits": commits_between(found.project, previous, found.revision),
    }
    return render(request, "builds/build.html", context)


@require_safe
def progress(request: HttpRequest, number: int) -> HttpResponse:
    """GET: the part above the log, for htmx while the build runs."""
    found = build_for(request.user, number)
    context = {
        "page": page_of(request, found), "build": found, "is_fragment": True, "was": request.GET.get("was", ""),
    }  # fmt: skip
    return render(request, "builds/partials/_progress_news.html", context)


def page_of(request: HttpRequest, found: Build) -> build_page.Page:
    """The data of both the page and its fragment."""
    return build_page.page(found, request.user, may_build=may_deploy(role_in(request.user, found.project)))


@require_POST
def cancel(request: HttpRequest, number: int) -> HttpResponse:
    """POST: cancels the build."""
    found = build_for(request.user, number, need=Role.DEPLOYER)
    state = services.cancel_build(person(request.user), found)
    if state == State.CANCELLED and found.started_at is None:
        messages.success(request, f"Build #{number} was cancelled before it began.")
    return redirect("builds:build", number)


@require_POST
@keeps(AgainForm)
def retry(request: HttpRequest, number: int) -> HttpResponse:
    """POST: builds the same revision again."""
    return _again(request, number, services.retry_build)


@require_POST
@keeps(AgainForm)
def rebuild(request: HttpRequest, number: int) -> HttpResponse:
    """POST: builds the same revision again without the cache."""
    return _again(request, number, services.rebuild)


def _again(request: HttpRequest, number: int, ask: Callable[..., Answer]) -> HttpResponse:
    found = build_for(request.user, number, need=Role.DEPLOYER)
    return leads_to(request, ask(person(request.user), found, key=AgainForm(request.POST).key_sent))


def leads_to(request: HttpRequest, answer: Answer) -> HttpResponse:
    """Redirects to the build; says so when it was there before."""
    build = answer.build
    if not answer.created and build.is_open:
        messages.info(request, f"{build.short} is being built already: this is the build.")
    return redirect("builds:build", build.number)


@require_safe
def log(request: HttpRequest, number: int) -> HttpResponseBase:
    """GET: the log as a text file to download, or the lines after `?after=` as JSON for browsers without a stream."""
    return live_log.log_response(request, build_for(request.user, number), file_name=f"build-{number}.log")


@require_safe
async def stream(request: HttpRequest, number: int) -> HttpResponseBase:
    """GET: the live log and the changes of a build, as server-sent events."""

    def find() -> Build:
        return build_for(request.user, number)

    def may_read() -> bool:
        return may_still_see(request.session.session_key, number)

    return live_log.stream(request, await sync_to_async(find)(), may_read=may_read)
