"""The new deploy page: choose a revision, read the preview, request the deploy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from adapters.errors import ExternalError
from audit.actors import Actor, person
from core.errors import Refused
from core.kept import keeps
from deployments.gate import requests, secrets_alone
from deployments.models import Deploy
from deployments.pages.choosing import chosen_by
from deployments.pages.forms import DeployForm
from deployments.pages.previewed import context_of
from projects.access import environment_for
from projects.models import Environment, Role
from ui.back import forget
from ui.refused import note


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(DeployForm)
def new(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: the page. POST: requests the deploy; when it is refused, the page again with the reason (status 422)."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    if request.method != "POST":
        forget(request)
        choice = chosen_by(place, request.GET)
        return render(
            request, "deployments/new.html", context_of(request, place, choice, see="see" in request.GET)
        )
    form, stale = DeployForm(request.POST, environment=place), ""
    if form.is_valid():
        try:
            return redirect(
                "deployments:deploy", asked_for(person(request.user), place, form.cleaned_data).number
            )
        except (Refused, ExternalError) as error:
            note(error)
            stale = error.message if error.code == "plan-changed" else ""
            field = "although_bad" if error.code == "bad-release" else None
            form.add_error(field, f"{error.message} {error.hint}".strip())
    choice = chosen_by(place, {name: request.POST.get(name, "") for name in ("kind", "revision", "branch")})
    context = {**context_of(request, place, choice, see=True, form=form), "stale": stale}
    return render(request, "deployments/new.html", context, status=422)


def asked_for(actor: Actor, place: Environment, data: Mapping[str, Any]) -> Deploy:
    """What the gate makes of the form. Raises Refused, ExternalError."""
    more = {
        "reason": data["reason"],
        "idempotency_key": data["key"],
        "secret_versions": data["secret_versions"],
        "override": data["override_reason"],
        "plan": data["plan"],
    }
    if data["kind"] == Deploy.Kind.SECRETS:
        return secrets_alone.request_secrets_deploy(actor, environment=place, **more).deploy
    return requests.request_deploy(
        actor,
        environment=place,
        revision=data["revision"],
        although_bad=data["although_bad"],
        branch=data["branch"],
        **more,
    ).deploy


@require_safe
def preview_part(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: only the right side (preview and button), for htmx."""
    place = environment_for(request.user, project, environment, need=Role.DEPLOYER)
    choice = chosen_by(place, request.GET, quick=True)
    context = context_of(request, place, choice, see=True)
    response = render(request, "deployments/partials/_preview.html", context)
    if choice.chosen:  # reloading the page shows the same revision
        address = reverse("deployments:new", args=[project, environment])
        response["HX-Replace-Url"] = f"{address}?{choice.query}"
    return response
