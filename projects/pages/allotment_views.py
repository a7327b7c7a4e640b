"""The page on which admins see who owns what, allot something to a project, and withdraw it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import person
from core.kept import keeps
from people.services import require_admin
from projects.allotting import services
from projects.allotting.listing import shown
from projects.lookup import allotment_for
from projects.models import Allotment, Cluster, Environment, Project, Registry
from projects.pages.checked_form import CheckedForm, of
from projects.pages.saving import saved
from ui.forms import page, posted


class AllotmentForm(CheckedForm):
    """One allotment. Which of cluster, registry and environment belongs to it depends on its kind."""

    project = forms.ModelChoiceField(Project.objects.current(), label="Project", empty_label="Choose…")
    kind = forms.ChoiceField(choices=Allotment.Kind.choices, label="Allot")
    pattern = of(
        Allotment, "pattern", mono=True, label="Name",
        help_text="* stands for any text: shop-* for namespaces, shop/* for secrets and repositories. Kinds without a "
        "namespace: ClusterRole.rbac.authorization.k8s.io, or Namespace/shop-*.",
    )  # fmt: skip
    cluster = forms.ModelChoiceField(
        Cluster.objects.current(), label="Cluster", required=False, empty_label="–",
        help_text="Of a namespace.",
    )  # fmt: skip
    registry = forms.ModelChoiceField(
        Registry.objects.current(),
        label="Registry",
        required=False,
        empty_label="–",
        help_text="Of a repository.",
    )
    environment = forms.ModelChoiceField(
        Environment.objects.current().select_related("project"), label="Environment", required=False, empty_label="–",
        help_text="Of objects beyond its own namespace.",
    )  # fmt: skip
    layout = (("project", "kind"), ("pattern",), ("cluster", "registry"), ("environment",))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["environment"]
        choice.label_from_instance = lambda row: f"{row.project} {row}"


@require_safe
def allotments(request: HttpRequest) -> HttpResponse:
    """All allotments, or those of one project (`?project=`)."""
    require_admin(person(request.user))
    projects = list(Project.objects.values_list("slug", "name"))
    chosen = request.GET.get("project", "")
    return page(
        request, "projects/allotments.html", rows=shown(chosen), projects=projects, chosen=chosen
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
@keeps(AllotmentForm)
def allotment_new(request: HttpRequest) -> HttpResponse:
    """Allotting something."""
    actor = person(request.user)
    require_admin(actor)
    first: dict[str, Any] = {name: request.GET.get(name) for name in ("kind", "pattern")}
    first["project"] = Project.objects.filter(slug=request.GET.get("project", "")).first()
    form = AllotmentForm(posted(request), initial=first)

    def save() -> None:
        services.allot(actor, **form.values())

    if request.method == "POST" and saved(request, form, save, done="It is allotted."):
        return redirect("projects:allotments")
    return page(request, "projects/allotment.html", form)


@require_POST
def allotment_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Withdraws an allotment that no setting needs."""
    row = allotment_for(request.user, pk)
    services.withdraw(person(request.user), allotment=row)
    messages.success(request, f"{row} is withdrawn from {row.project.name}.")
    return redirect("projects:allotments")
