"""The settings of a project's builds: rules, keys, and the recipes of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actors import person
from builds import changing, proposals, status
from builds.concerned import hears_site
from builds.models import BuildSettings, Recipe
from builds.pages.delivery_rows import lines, visible
from builds.pages.settings_forms import KeysForm, RecipeForm, RulesForm
from builds.stored import build_settings
from core.kept import keeps
from projects import editing
from projects.lookup import image_of, settings_of
from projects.models import Project
from projects.pages import saving
from projects.pages.saving import kept_hint, menu_of
from ui.forms import page, posted, saved


@require_http_methods(["GET", "POST"])
@keeps(RulesForm)
def rules(request: HttpRequest, slug: str) -> HttpResponse:
    """The rules, and an overview of everything else. `?look=1` asks the repository for its Dockerfiles."""
    project = settings_of(request.user, slug)
    stored = build_settings(project.pk)
    form = RulesForm(posted(request), initial=RulesForm.initial_of(stored))

    def save() -> None:
        changing.change_rules(
            person(request.user), project, edited=form.cleaned_data["edited"] or 0, **form.values()
        )

    if done := _saved(request, form, save, slug):
        return done
    return page(
        request, "builds/settings.html", form, project=project, menu=menu_of(project, "builds"),
        **overview(request, project, stored),
    )  # fmt: skip


def overview(request: HttpRequest, project: Project, stored: BuildSettings) -> dict[str, Any]:
    """What stands below the rules: images, build secrets, the webhook, and Dockerfiles that no image has."""
    latest = visible(request.user, project).order_by("-pk")[:1]
    return {
        "stored": stored,
        "images": project.images.current().select_related("registry", "recipe"),
        "secrets": project.build_secrets.all(),
        "found": proposals.found(project, ask="look" in request.GET),
        "hook_url": f"{settings.BASE_URL}{reverse('pushes:github')}",
        "network": status.network(),
        "site_secret": bool(settings.GITHUB_WEBHOOK_SECRET),
        "site_counts": hears_site(project),
        "last": next(iter(lines(request.user, latest)), None),
    }


@require_http_methods(["GET", "POST"])
@keeps(KeysForm)
def keys(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's own webhook secret and GitHub token."""
    project = settings_of(request.user, slug)
    stored = build_settings(project.pk)
    form = KeysForm(posted(request), initial={"edited": stored.edited})
    for name in ("webhook_secret", "github_token"):
        if getattr(stored, name):
            form.fields[name].help_text = kept_hint(editing.set_at("build_settings", stored.pk, name))
        else:
            del form.fields[f"forget_{name}"]

    def save() -> None:
        changing.change_keys(
            person(request.user), project, edited=form.cleaned_data["edited"] or 0, **form.values()
        )

    if request.method == "POST" and saving.saved(request, form, save, done="Saved."):
        return redirect("pushes:settings", slug)
    return page(
        request, "builds/keys.html", form, project=project, menu=menu_of(project, "builds"), stored=stored
    )


@require_http_methods(["GET", "POST"])
@keeps(RecipeForm)
def recipe(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """How one image is built."""
    project = settings_of(request.user, slug)
    image = image_of(project, name)
    stored = Recipe.objects.filter(image=image).first() or Recipe(image=image)
    form = RecipeForm(posted(request), initial=RecipeForm.initial_of(stored))

    def save() -> None:
        changing.change_recipe(
            person(request.user), image, edited=form.cleaned_data["edited"] or 0, **form.values()
        )

    if done := _saved(request, form, save, slug):
        return done
    return page(
        request, "builds/recipe.html", form, project=project, menu=menu_of(project, "builds"), image=image
    )


def _saved(request: HttpRequest, form: Form, save: Callable[[], None], slug: str) -> HttpResponse | None:
    """Saves what was posted and leads back to the build settings. None for a form that is to be shown."""
    if request.method != "POST" or not saved(form, save):
        return None
    messages.success(request, "Saved.")
    return redirect("pushes:settings", slug)
