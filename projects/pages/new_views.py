"""The page of a new project: a repository's address, which is tried and read."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.findings import FAILED, Finding
from core.kept import keeps
from people.services import require_admin
from projects import checking, services
from projects.credentials import missing_credential, unfit_credential
from projects.models import Project
from projects.pages.checked_form import CheckedForm, unused
from projects.pages.forms import ProjectForm
from projects.pages.saving import saved
from ui.forms import page, posted

USUAL_BRANCH = "main"


class NewProjectForm(ProjectForm):
    """A project, of which only the repository's address must be entered: the rest follows from it."""

    layout = (("repository_url",), ("credential_kind",), ("credential",), ("name", "slug"))
    further = (("default_branch", "group"), ("slack_channel",), ("allot_usual",))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, hint in (
            ("name", "As people read it; by the address if empty."),
            ("slug", "In addresses and on the cluster; by the name if empty. It never changes."),
            ("default_branch", "The repository's own if empty."),
        ):
            self.fields[name].required = False
            self.fields[name].help_text = hint
        self.fields["default_branch"].initial = ""

    def further_rows(self) -> list[list[BoundField]]:
        """The fields that are seldom needed, row by row."""
        return [[self[name] for name in names] for names in self.further]

    def opens_further(self) -> bool:
        """Whether one of these has an error."""
        return any(name in self.errors for names in self.further for name in names)

    def clean_slug(self) -> str:
        """Checked with the name, by which it may be proposed."""
        return str(self.cleaned_data["slug"])

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        last = last_part(data.get("repository_url", ""))
        name = data.get("name") or _in_words(last)
        slug = data.get("slug") or slug_of(data.get("name") or last)
        if "repository_url" in data and not slug and "slug" not in self.errors:
            self.add_error("slug", "Write a short name: the address proposes none.")
        try:
            data |= {"name": name[:100], "slug": unused(Project.objects.all(), slug, "a project")}
        except ValidationError as error:
            self.add_error("slug", error)
        return data


def last_part(url: str) -> str:
    """The repository's own name in its address, as a proposal: `https://host/acme/online-shop.git` is `online-shop`."""
    path = urlsplit(url).path if "://" in url else url.rpartition(":")[2]
    return path.rstrip("/").rpartition("/")[2].removesuffix(".git")


def _in_words(text: str) -> str:
    """`online-shop` is `Online shop`."""
    words = re.sub(r"[-_.]+", " ", text).strip()
    return words[:1].upper() + words[1:]


def slug_of(text: str) -> str:
    """A short name for a text, as `static/js/app.js` proposes it."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower())
    return re.sub(r"^[^a-z]+|-+$", "", plain)[:40].rstrip("-")


@sensitive_post_parameters("credential")
@require_http_methods(["GET", "POST"])
@keeps(NewProjectForm)
def new(request: HttpRequest) -> HttpResponse:
    """Making a project. The next page proposes what its repository has."""
    actor = person(request.user)
    require_admin(actor)
    form = NewProjectForm(posted(request))
    own_branch: list[str] = []

    def save() -> None:
        values = form.values("edited", "default_branch")
        branch = form.cleaned_data["default_branch"] or (own_branch or [USUAL_BRANCH])[0]
        services.create_project(actor, default_branch=branch, **values)

    def checks() -> list[Finding]:
        return try_repository(form, Project(default_branch=""), own_branch)

    if request.method == "POST" and saved(request, form, save, checks=checks, done="The project is made."):
        return redirect("projects:proposals", form.cleaned_data["slug"])
    return page(request, "projects/new.html", form)


def try_repository(form: CheckedForm, project: Project, own_branch: list[str] | None = None) -> list[Finding]:
    """Tries the repository with the form's values. Without the credential that was chosen only the address is tried.
    `own_branch`: as for `checking.repository`."""
    if not form.has("repository_url", "credential_kind", "credential"):
        return []
    data = form.cleaned_data
    kind, entered = data["credential_kind"], data["credential"]
    tried = Project(
        slug=data.get("slug", project.slug), name=data.get("name", ""), repository_url=data["repository_url"],
        default_branch=data.get("default_branch", ""),
    )  # fmt: skip
    if unfit := unfit_credential(url=tried.repository_url, kind=kind, entered=entered):
        return [Finding(FAILED, unfit, field="credential")]
    if missing := missing_credential(project, url=tried.repository_url, kind=kind, entered=entered):
        alone = checking.run([partial(checking.address_alone, tried)])
        return [Finding(FAILED, missing, field="credential"), *alone]
    tried.credential_kind, tried.credential = kind, entered or project.credential
    return checking.run([partial(checking.repository, tried, own_branch=own_branch)])
