"""Pages of clusters and registries: lists, forms, and live validation on request. For admins."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import person
from core.fields import Sealed
from core.findings import FAILED, Finding
from core.incoming import takes_files
from core.kept import keeps
from people.services import require_admin
from projects import checking, cluster_account, editing, infrastructure
from projects.lookup import cluster_for, clusters_for, registries_for, registry_for
from projects.models import Cluster, Registry
from projects.pages.checked_form import CheckedForm
from projects.pages.infrastructure_forms import ClusterForm, RegistryForm
from projects.pages.saving import kept_hint, saved
from ui.back import next_or
from ui.forms import page, posted

REACHED_BY = ("endpoint", "account", "region", "role_arn")  # the fields of a registry by which it is reached


@require_safe
def clusters(request: HttpRequest) -> HttpResponse:
    """All clusters."""
    rows = clusters_for(request.user)
    return page(request, "projects/clusters.html", clusters=rows, archived=Cluster.objects.archived().count())


@takes_files
@sensitive_post_parameters("kubeconfig")
@require_http_methods(["GET", "POST"])
@keeps(ClusterForm)
def cluster_new(request: HttpRequest) -> HttpResponse:
    """Registering a cluster."""
    actor = person(request.user)
    require_admin(actor)
    form = ClusterForm(posted(request), request.FILES or None)
    tried = ClusterCheck()

    def save() -> None:
        tried.note(infrastructure.create_cluster(actor, **form.values("edited")))

    def checks() -> list[Finding]:
        return tried.run(form.cleaned_data["kubeconfig"]) if form.has("kubeconfig") else []

    if request.method == "POST" and saved(
        request, form, save, checks=checks, done="The cluster is registered."
    ):
        return redirect(next_or(request, reverse("projects:cluster", args=[form.cleaned_data["slug"]])))
    return page(
        request, "projects/cluster.html", form, account_file=cluster_account.FILE, next=next_or(request, ""),
        account_yaml=cluster_account.account_yaml(), kubeconfig_script=cluster_account.kubeconfig_script(),
    )  # fmt: skip


class ClusterCheck:
    """Keeps the result of trying a kubeconfig until the cluster is saved."""

    def __init__(self) -> None:
        self.answer: checking.ClusterAnswer | None = None

    def run(self, kubeconfig: Sealed | str) -> list[Finding]:
        """Tries the kubeconfig and returns the findings."""
        self.answer = checking.cluster(kubeconfig)
        return self.answer.findings

    def note(self, cluster: Cluster) -> None:
        """Stores the result in the cluster's row."""
        if self.answer is None:
            return
        failed = next((f.text for f in self.answer.findings if f.state == FAILED), "")
        infrastructure.note_answer(cluster, version=self.answer.version, error=failed, at=timezone.now())


@takes_files
@sensitive_post_parameters("kubeconfig")
@require_http_methods(["GET", "POST"])
@keeps(ClusterForm)
def cluster(request: HttpRequest, slug: str) -> HttpResponse:
    """A cluster's own fields; its kubeconfig can be replaced, never read."""
    row = cluster_for(request.user, slug)
    form = ClusterForm(posted(request), request.FILES or None, existing=True, initial=_cluster_initial(row))
    tried = ClusterCheck()

    def save() -> None:
        edited = form.cleaned_data["edited"]
        tried.note(
            infrastructure.change_cluster(
                person(request.user), cluster=row, edited=edited, **form.values("edited")
            )
        )

    def checks() -> list[Finding]:
        text = form.cleaned_data.get("kubeconfig")
        return tried.run(text) if text else []

    if request.method == "POST" and saved(request, form, save, checks=checks, done="Saved."):
        return redirect("projects:cluster", slug)
    return _cluster(request, row, form)


def _cluster_initial(row: Cluster) -> dict[str, Any]:
    return {"name": row.name, "notice": row.notice, "edited": row.edited}


def _cluster(request: HttpRequest, row: Cluster, form: CheckedForm, **context: Any) -> HttpResponse:
    form.fields["kubeconfig"].help_text = kept_hint(editing.set_at("cluster", row.pk, "kubeconfig"))
    users = row.environments.current().select_related("project").order_by("project__name", "order")
    return page(
        request, "projects/cluster.html", form, cluster=row, environments=users,
        **context,
    )  # fmt: skip


@require_POST
def cluster_check(request: HttpRequest, slug: str) -> HttpResponse:
    """Tries the cluster now."""
    row = cluster_for(request.user, slug)
    tried = ClusterCheck()
    findings = tried.run(row.kubeconfig)
    tried.note(row)
    row.refresh_from_db()
    form = ClusterForm(existing=True, initial=_cluster_initial(row))
    return _cluster(request, row, form, findings=findings)


@require_safe
def registries(request: HttpRequest) -> HttpResponse:
    """All registries."""
    rows = registries_for(request.user)
    return page(
        request, "projects/registries.html", registries=rows, archived=Registry.objects.archived().count()
    )


@require_http_methods(["GET", "POST"])
@keeps(RegistryForm)
def registry_new(request: HttpRequest) -> HttpResponse:
    """Registering a registry."""
    actor = person(request.user)
    require_admin(actor)
    form = RegistryForm(posted(request), initial={"region": "eu-west-2"})

    def save() -> None:
        infrastructure.create_registry(actor, **form.values("edited"))

    def checks() -> list[Finding]:
        return _try_registry(form)

    if request.method == "POST" and saved(
        request, form, save, checks=checks, done="The registry is registered."
    ):
        return redirect(next_or(request, reverse("projects:registry", args=[form.cleaned_data["slug"]])))
    return page(request, "projects/registry.html", form, next=next_or(request, ""))


@require_http_methods(["GET", "POST"])
@keeps(RegistryForm)
def registry(request: HttpRequest, slug: str) -> HttpResponse:
    """A registry's own fields."""
    row = registry_for(request.user, slug)
    form = RegistryForm(posted(request), existing=True, initial=_registry_initial(row))

    def save() -> None:
        edited = form.cleaned_data["edited"]
        infrastructure.change_registry(
            person(request.user), registry=row, edited=edited, **form.values("edited")
        )

    def checks() -> list[Finding]:
        return _try_registry(form) if form.changes(*REACHED_BY) else []

    if request.method == "POST" and saved(request, form, save, checks=checks, done="Saved."):
        return redirect("projects:registry", slug)
    return page(request, "projects/registry.html", form, registry=row)


def _try_registry(form: CheckedForm) -> list[Finding]:
    if not form.has(*REACHED_BY):
        return []
    return checking.run([partial(checking.registry, Registry(**form.values("edited")))])


def _registry_initial(row: Registry) -> dict[str, Any]:
    names = ("name", "endpoint", "account", "region", "role_arn", "edited")
    return {name: getattr(row, name) for name in names}


@require_POST
def registry_check(request: HttpRequest, slug: str) -> HttpResponse:
    """Tries the registry now."""
    row = registry_for(request.user, slug)
    form = RegistryForm(existing=True, initial=_registry_initial(row))
    return page(
        request,
        "projects/registry.html",
        form,
        registry=row,
        findings=checking.run([partial(checking.registry, row)]),
    )
