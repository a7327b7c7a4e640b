"""Pages of a project's images, secrets files and members."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import person
from core.findings import Finding
from core.kept import keeps
from projects import checking, connections, memberships, services
from projects.allotting.wishes import of_repository, of_secret
from projects.lookup import image_of, secrets_file_of, settings_of
from projects.models import Environment, Project, SecretsFile
from projects.pages.allotted import not_allotted
from projects.pages.checked_form import CheckedForm
from projects.pages.forms import ImageForm, MemberForm, SecretsFileForm
from projects.pages.saving import saved, settings_page
from ui.forms import posted


@require_safe
def images(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's images."""
    project = settings_of(request.user, slug)
    rows = list(project.images.select_related("registry"))
    current = [row for row in rows if not row.archived_at]
    return settings_page(
        request, "images", project, "images", images=current, archived=len(rows) - len(current)
    )


@require_http_methods(["GET", "POST"])
@keeps(ImageForm)
def image_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Adding an image. The address may propose its fields."""
    project = settings_of(request.user, slug)
    proposed = {
        name: request.GET[name]
        for name in ("name", "dockerfile", "context", "repository")
        if name in request.GET
    }
    initial = {"dockerfile": "Dockerfile", "context": ".", **proposed}
    form = ImageForm(posted(request), project=project, initial=initial)

    def save() -> None:
        services.create_image(person(request.user), project=project, **form.values())

    if request.method == "POST" and saved(
        request,
        form,
        save,
        checks=partial(_image_checks, request.user, project, form),
        done="The image is added.",
    ):
        return redirect("projects:images", slug)
    return settings_page(request, "image", project, "images", form)


@require_http_methods(["GET", "POST"])
@keeps(ImageForm)
def image(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """An image's own fields."""
    project = settings_of(request.user, slug)
    row = image_of(project, name)
    names = ("registry", "repository", "dockerfile", "context", "edited")
    form = ImageForm(
        posted(request), project=project, existing=True, initial={n: getattr(row, n) for n in names}
    )

    def save() -> None:
        services.change_image(
            person(request.user), image=row, edited=form.cleaned_data["edited"], **form.values()
        )

    if request.method == "POST" and saved(
        request, form, save, checks=partial(_image_checks, request.user, project, form), done="Saved."
    ):
        return redirect("projects:images", slug)
    return settings_page(request, "image", project, "images", form, image=row)


def _image_checks(user: Any, project: Project, form: CheckedForm) -> list[Finding]:
    if not form.has("registry", "repository") or not form.changes("registry", "repository"):
        return []
    data = form.cleaned_data
    refused = not_allotted(user, project, of_repository(data["registry"], data["repository"]))
    return refused or checking.run(
        [
            partial(
                checking.image_repository, connections.ecr(data["registry"], hasty=True), data["repository"]
            )
        ]
    )


# Secrets files


@require_safe
def secrets_files(request: HttpRequest, slug: str) -> HttpResponse:
    """The secrets files of all environments."""
    project = settings_of(request.user, slug)
    rows = SecretsFile.objects.filter(environment__project=project, environment__archived_at=None)
    rows = rows.select_related("environment")
    rows = rows.order_by("environment__order", "environment__slug", "path")
    return settings_page(request, "secrets_files", project, "secrets_files", secrets_files=rows)


@require_http_methods(["GET", "POST"])
@keeps(SecretsFileForm)
def secrets_file_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Adding a secrets file."""
    project = settings_of(request.user, slug)
    form = SecretsFileForm(
        posted(request), project=project, initial={"path": "secret.yaml", "region": "eu-west-2"}
    )

    def save() -> None:
        services.create_secrets_file(person(request.user), **form.values())

    def checks() -> list[Finding]:
        chosen = form.cleaned_data.get("environment")
        return _file_checks(request.user, form, chosen) if chosen else []

    if request.method == "POST" and saved(
        request, form, save, checks=checks, done="The secrets file is added."
    ):
        return redirect("projects:secrets-files", slug)
    return settings_page(request, "secrets_file", project, "secrets_files", form)


@require_http_methods(["GET", "POST"])
@keeps(SecretsFileForm)
def secrets_file(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """A secrets file's own fields."""
    project = settings_of(request.user, slug)
    row = secrets_file_of(project, pk)
    names = ("path", "secret_id", "region", "role_arn", "edited")
    initial = {name: getattr(row, name) for name in names}
    form = SecretsFileForm(posted(request), project=project, existing=True, initial=initial)

    def save() -> None:
        services.change_secrets_file(
            person(request.user), secrets_file=row, edited=form.cleaned_data["edited"], **form.values()
        )

    def checks() -> list[Finding]:
        changed = form.changes("path", "secret_id", "region", "role_arn")
        return _file_checks(request.user, form, row.environment) if changed else []

    if request.method == "POST" and saved(request, form, save, checks=checks, done="Saved."):
        return redirect("projects:secrets-files", slug)
    return settings_page(request, "secrets_file", project, "secrets_files", form, secrets_file=row)


def _file_checks(user: Any, form: CheckedForm, environment: Environment) -> list[Finding]:
    if not form.has("path", "secret_id", "region", "role_arn"):
        return []
    data = form.cleaned_data
    refused = not_allotted(user, environment.project, of_secret(data["secret_id"], data["role_arn"]))
    return refused or checking.run([partial(checking.secrets_file, _file_of(form, environment))])


def _file_of(form: CheckedForm, environment: Environment) -> SecretsFile:
    """The secrets file with the form's values, not saved."""
    data = form.cleaned_data
    return SecretsFile(
        environment=environment, path=data["path"], secret_id=data["secret_id"],
        region=data["region"], role_arn=data["role_arn"],
    )  # fmt: skip


@require_POST
def secrets_file_remove(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Removes a secrets file from the environment."""
    project = settings_of(request.user, slug)
    services.remove_secrets_file(person(request.user), secrets_file=secrets_file_of(project, pk))
    messages.success(request, "The secrets file is removed. The secret in AWS stays there.")
    return redirect("projects:secrets-files", slug)


# Members


@require_http_methods(["GET", "POST"])
@keeps(MemberForm)
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """The members with their roles, and the form that grants a role."""
    project = settings_of(request.user, slug)
    form = MemberForm(posted(request), project=project)

    def save() -> None:
        memberships.grant(person(request.user), project=project, **form.values())

    if request.method == "POST" and saved(request, form, save, done="The role is given."):
        return redirect("projects:members", slug)
    shown = Q(environment=None) | Q(environment__archived_at=None)
    rows = (
        project.memberships.filter(shown)
        .select_related("user", "environment")
        .order_by("user__username", "environment__order")
    )
    return settings_page(request, "members", project, "members", form, members=rows)
