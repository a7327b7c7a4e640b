"""A project's build secrets: values of AWS that Dockerfiles mount. No value is read here."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from audit.actors import person
from builds import changing, trying
from builds.models import BuildSecret
from builds.pages.settings_forms import SecretForm
from core.findings import Finding
from core.kept import keeps
from projects.allotting.wishes import of_secret
from projects.lookup import settings_of
from projects.models import Project
from projects.pages.allotted import not_allotted
from projects.pages.saving import menu_of, saved
from ui.forms import page, posted

FIELDS = ("name", "secret_id", "key", "region", "role_arn", "edited")


@require_http_methods(["GET", "POST"])
@keeps(SecretForm)
def secret_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Adding a build secret."""
    project = settings_of(request.user, slug)
    form = SecretForm(posted(request), project=project, initial={"region": "eu-west-2"})

    def save() -> None:
        changing.create_secret(person(request.user), project, **form.values())

    checks = partial(_checks, request.user, project, form)
    if request.method == "POST" and saved(
        request, form, save, checks=checks, done="The build secret is added."
    ):
        return redirect("pushes:settings", slug)
    return _page(request, project, form)


@require_http_methods(["GET", "POST"])
@keeps(SecretForm)
def secret(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """A build secret's own fields."""
    project = settings_of(request.user, slug)
    row = _secret_of(project, pk)
    initial = {name: getattr(row, name) for name in FIELDS}
    form = SecretForm(posted(request), project=project, existing=row, initial=initial)

    def save() -> None:
        changing.change_secret(
            person(request.user), row, edited=form.cleaned_data["edited"] or 0, **form.values()
        )

    checks = partial(_checks, request.user, project, form)
    if request.method == "POST" and saved(request, form, save, checks=checks, done="Saved."):
        return redirect("pushes:settings", slug)
    return _page(request, project, form, row)


@require_POST
def secret_remove(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Removes a build secret from the project."""
    project = settings_of(request.user, slug)
    changing.remove_secret(person(request.user), _secret_of(project, pk))
    messages.success(request, "The build secret is removed. The secret in AWS stays there.")
    return redirect("pushes:settings", slug)


def _checks(user: Any, project: Project, form: SecretForm) -> list[Finding]:
    """What is not allotted; else what AWS says. Nothing is tried that does not change, or that is another project's."""
    named = ("secret_id", "key", "region", "role_arn")
    if not form.has(*named) or not form.changes(*named):
        return []
    data = form.cleaned_data
    refused = not_allotted(user, project, of_secret(data["secret_id"], data["role_arn"]))
    return refused or trying.findings(BuildSecret(project=project, **form.values()))


def _secret_of(project: Project, pk: int) -> BuildSecret:
    row = BuildSecret.objects.filter(project=project, pk=pk).select_related("project").first()
    if row is None:
        raise Http404("No such build secret.")
    return row


def _page(
    request: HttpRequest, project: Project, form: SecretForm, row: BuildSecret | None = None
) -> HttpResponse:
    return page(
        request, "builds/secret.html", form, project=project, menu=menu_of(project, "builds"), secret=row
    )
