"""The button that makes an environment's namespace on its cluster. Pages that name a missing namespace show it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from audit.actors import person
from projects.lookup import environment_of, settings_of
from projects.namespaces import create_namespace
from ui.back import next_or


@require_POST
def namespace_create(request: HttpRequest, slug: str, env: str) -> HttpResponse:
    """Makes the namespace, and goes back to the page in the field `next`."""
    environment = environment_of(settings_of(request.user, slug), env)
    made = create_namespace(person(request.user), environment)
    where = environment.cluster.name
    if made.is_new:
        messages.success(request, f"The namespace {made.name} is made on {where}.")
    else:
        messages.info(request, f"The namespace {made.name} is on {where} already.")
    return redirect(next_or(request, reverse("deployments:environment", args=[slug, env])))
