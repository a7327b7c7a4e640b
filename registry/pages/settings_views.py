"""The settings of a cluster's pull credentials, with a preview of the namespaces that they mean."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.kept import keeps
from projects.lookup import cluster_for
from projects.models import Cluster
from registry import preview, services
from registry.models import PullPolicy
from registry.pages.forms import PolicyForm
from registry.policies import policy_of
from ui.forms import page, posted, saved

FEW = 60  # namespaces of a preview that show; the rest is counted


@require_http_methods(["GET", "POST"])
@keeps(PolicyForm)
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    """A cluster's policy. The button “Preview” shows what the entered policy means, and stores nothing."""
    cluster = cluster_for(request.user, slug)
    stored = policy_of(cluster)
    form = PolicyForm(posted(request), initial=PolicyForm.initial_of(stored))
    if request.method == "POST" and "preview" in request.POST:
        meant = preview.preview(form.policy(stored)) if form.is_valid() else None
        return _page(request, cluster, form, meant)
    if request.method == "POST" and saved(form, lambda: save(request, cluster, stored, form)):
        messages.success(request, "Saved. The portal looks at the cluster within a minute.")
        return redirect("registry:settings", slug)
    return _page(request, cluster, form, _known(stored))


def _known(stored: PullPolicy) -> preview.Preview:
    places = preview.known_places(stored)
    return preview.Preview(places, frozenset(), (), is_sure=False)


def _page(
    request: HttpRequest, cluster: Cluster, form: PolicyForm, meant: preview.Preview | None
) -> HttpResponse:
    asked = "preview" in request.POST
    return page(request, "registry/settings.html", form, cluster=cluster, meant=meant, asked=asked, few=FEW)


@transaction.atomic
def save(request: HttpRequest, cluster: Cluster, stored: PullPolicy, form: PolicyForm) -> None:
    """Stores the policy and its pause. Raises as the services do."""
    actor, entered = person(request.user), form.cleaned_data
    values = form.values("edited", "paused_until")
    services.save_policy(actor, cluster, edited=entered["edited"] or 0, **values)
    if "paused_until" not in form.changed_data:
        return
    if entered["paused_until"] is None:
        services.resume(actor, cluster)
    else:
        services.pause(actor, cluster, until=entered["paused_until"])
