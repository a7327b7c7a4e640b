"""Pages of a project's general settings and its environments. For a new project see projects/pages/new_views.py, for images,
secrets files and members projects/pages/parts_views.py.

Every view fetches with a check of the right, handles the form, calls one service and redirects.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import person
from core.findings import FAILED, Finding
from core.kept import keeps
from projects import checking, connections, editing, services
from projects.allotting.wishes import of_place
from projects.lookup import environment_of, settings_of, sharing
from projects.models import Environment, Project
from projects.pages.allotted import not_allotted
from projects.pages.checked_form import CheckedForm
from projects.pages.first_steps import first_steps
from projects.pages.forms import PUBLIC, EnvironmentForm, ProjectForm
from projects.pages.new_views import try_repository
from projects.pages.saving import kept_hint, saved, settings_page
from projects.pages.variable_forms import VariableFormSet, variable_rows
from projects.reading.manifests import FoundVariable
from projects.reading.scan import scan_folders
from projects.variables import MOST
from ui.forms import page, posted


@require_safe
def steps(request: HttpRequest) -> HttpResponse:
    """The first steps of an empty portal."""
    return page(request, "projects/first_steps.html", first_steps=first_steps(request.user))


@sensitive_post_parameters("credential")
@require_http_methods(["GET", "POST"])
@keeps(ProjectForm)
def general(request: HttpRequest, slug: str) -> HttpResponse:
    """A project's own fields."""
    project = settings_of(request.user, slug)
    form = _project_form(project, posted(request))

    def save() -> None:
        values = form.values("edited")
        services.change_project(
            person(request.user), project=project, edited=form.cleaned_data["edited"], **values
        )

    def checks() -> list[Finding]:
        if not form.changes("repository_url", "default_branch", "credential_kind", "credential"):
            return []
        return try_repository(form, project)

    if request.method == "POST" and saved(request, form, save, checks=checks, done="Saved."):
        return redirect("projects:settings", slug)
    return _general(request, project, form)


def _general(request: HttpRequest, project: Project, form: CheckedForm, **context: Any) -> HttpResponse:
    if project.credential_kind:
        set_at = editing.set_at("project", project.pk, "credential")
        form.fields["credential"].help_text = kept_hint(set_at)
    return settings_page(request, "general", project, "general", form, **context)


def _project_form(project: Project, data: Any = None) -> ProjectForm:
    names = ("name", "repository_url", "default_branch", "slack_channel", "group", "edited")
    initial = {name: getattr(project, name) for name in names} | {
        "credential_kind": project.credential_kind or PUBLIC
    }
    form = ProjectForm(data, initial=initial)
    for name in ("slug", "allot_usual"):  # for new projects only
        del form.fields[name]
    return form


@require_POST
def general_check(request: HttpRequest, slug: str) -> HttpResponse:
    """Tries the repository."""
    project = settings_of(request.user, slug)
    return _general(
        request,
        project,
        _project_form(project),
        findings=checking.run([partial(checking.repository, project)]),
    )


# Environments


@require_safe
def environments(request: HttpRequest, slug: str) -> HttpResponse:
    """The environments in their order."""
    project = settings_of(request.user, slug)
    rows = list(project.environments.select_related("cluster").order_by("order", "slug"))
    current = [row for row in rows if not row.archived_at]
    return settings_page(
        request, "environments", project, "environments", environments=current,
        archived=len(rows) - len(current),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@keeps(EnvironmentForm, VariableFormSet)
def environment_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Adding an environment."""
    project = settings_of(request.user, slug)
    folder = request.GET.get("directory", "")
    initial = {"deploy_timeout": 1200, "config_directory": folder}
    form = EnvironmentForm(posted(request), project=project, initial=initial)
    rows = variable_rows(posted(request), None, _used_in(project, folder))

    def save() -> None:
        services.create_environment(
            person(request.user), project=project, variables=rows.entered(), **form.values("edited")
        )

    checks = partial(_environment_checks, request.user, form, project, None)
    done = "The environment is there. Next: its secrets files and images, then the first deploy."
    if request.method == "POST" and saved(request, form, save, checks=checks, also=rows.is_valid, done=done):
        return redirect("projects:environments", slug)
    return settings_page(
        request, "environment", project, "environments", form, variables=rows, refused=rows.is_bound
    )


@require_http_methods(["GET", "POST"])
@keeps(EnvironmentForm, VariableFormSet)
def environment(request: HttpRequest, slug: str, env: str) -> HttpResponse:
    """An environment's own fields and its variables."""
    project = settings_of(request.user, slug)
    row = environment_of(project, env)
    form = EnvironmentForm(
        posted(request), project=project, existing=True, initial=EnvironmentForm.initial_of(row)
    )
    folder = row.config_directory if "variables" in request.GET else ""
    proposed = request.GET.get("variable", "")
    rows = variable_rows(posted(request), row, _used_in(project, folder), propose=proposed)

    def save() -> None:
        values = {**form.values("edited"), "variables": rows.entered()}
        services.change_environment(
            person(request.user), environment=row, edited=form.cleaned_data["edited"], **values
        )

    checks = partial(_environment_checks, request.user, form, project, row)
    if request.method == "POST" and saved(
        request, form, save, checks=checks, also=rows.is_valid, done="Saved."
    ):
        return redirect("projects:environment", slug, env)
    return _environment(request, row, form, rows, refused=rows.is_bound)


def _used_in(project: Project, folder: str) -> Sequence[FoundVariable]:
    """The variables that the manifests of a folder use; none where it cannot be read, which the checks of the form tell."""
    found = scan_folders(project, [folder])[folder].folders if folder else ()
    return found[0].manifests.variables[:MOST] if found else ()


def _environment(
    request: HttpRequest, row: Environment, form: CheckedForm, rows: Any, **context: Any
) -> HttpResponse:
    return settings_page(
        request, "environment", row.project, "environments", form,
        environment=row, variables=rows, shared_with=sharing(request.user, row), **context,
    )  # fmt: skip


def _environment_checks(
    user: Any, form: EnvironmentForm, project: Project, row: Environment | None
) -> list[Finding]:
    """Tries the changed fields: cluster and namespace, config directory. Also finds other environments in the namespace."""
    data = form.cleaned_data
    checks: list[checking.Check] = []
    findings: list[Finding] = []
    if form.has("cluster", "namespace") and form.changes("cluster", "namespace"):
        if refused := not_allotted(user, project, of_place(data["cluster"], data["namespace"])):
            return refused  # before anything is asked: the answer would tell about others' namespaces
        tried = Environment(pk=row.pk if row else None, cluster=data["cluster"], namespace=data["namespace"])
        findings = _shared(sharing(user, tried), data["namespace"])
        checks.append(partial(checking.namespace, data["cluster"].kubeconfig, data["namespace"]))
    if form.has("config_directory") and form.changes("config_directory"):
        checks.append(partial(checking.config_directory, project, data["config_directory"]))
    return findings + checking.run(checks)


def _shared(others: list[str], namespace: str) -> list[Finding]:
    if not others:
        return []
    text = (
        f"{', '.join(others)} deploy{'s' if len(others) == 1 else ''} into {namespace} of this cluster, too."
    )
    hint = "Objects of the same name would overwrite each other. Choose another namespace, or save anyway."
    return [Finding(FAILED, text, hint, "namespace", can_override=True)]


@require_POST
def environment_check(request: HttpRequest, slug: str, env: str) -> HttpResponse:
    """Tries all outside systems that the environment needs."""
    project = settings_of(request.user, slug)
    row = environment_of(project, env)
    files = row.secrets_files.select_related("environment__project")
    images = project.images.current().select_related("registry")
    checks = [
        partial(checking.namespace, row.cluster.kubeconfig, row.namespace),
        partial(checking.config_directory, project, row.config_directory),
        *(partial(checking.secrets_file, file) for file in files),
        *(
            partial(checking.image_repository, connections.ecr(i.registry, hasty=True), i.repository)
            for i in images
        ),
    ]
    form = EnvironmentForm(project=project, existing=True, initial=EnvironmentForm.initial_of(row))
    return _environment(request, row, form, variable_rows(None, row), findings=checking.run(checks))


@require_POST
def environment_up(request: HttpRequest, slug: str, env: str) -> HttpResponse:
    """Moves an environment one place forward."""
    project = settings_of(request.user, slug)
    services.move_environment(person(request.user), environment=environment_of(project, env))
    return redirect("projects:environments", slug)
