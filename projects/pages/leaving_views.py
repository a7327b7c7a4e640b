"""The pages on which projects, environments, images, clusters and registries are archived, restored and removed, and the list of
what is archived."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit.actors import person
from core.kept import keeps
from people.models import User
from people.services import require_admin
from projects.access import visible_filter, visible_projects
from projects.leaving import services
from projects.leaving.standing import standing_of
from projects.leaving.things import Thing, kind_of, project_of, require_right, text_of
from projects.models import Cluster, Environment, Image, Registry
from projects.pages.saving import menu_of
from ui import forms
from ui.leaving import ARCHIVE, REMOVE, RESTORE, LeavingForm

DONE = {
    ARCHIVE: "{} is archived. It can be restored at any time.",
    RESTORE: "{} is restored.",
    REMOVE: "{} is removed.",
}
DOES = {ARCHIVE: services.archive, RESTORE: services.restore, REMOVE: services.remove}
PART_OF_MENU = {"project": "general", "environment": "environments", "image": "images"}


@require_http_methods(["GET", "POST"])
@keeps(LeavingForm)
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """A project."""
    require_admin(person(request.user))
    return _page(request, _or_404(visible_projects(request.user).filter(slug=slug)))


@require_http_methods(["GET", "POST"])
@keeps(LeavingForm)
def environment(request: HttpRequest, slug: str, env: str) -> HttpResponse:
    """An environment."""
    rows = Environment.objects.select_related("project", "cluster")
    return _page(request, _or_404(_of(rows, request.user, slug).filter(slug=env)))


@require_http_methods(["GET", "POST"])
@keeps(LeavingForm)
def image(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """An image."""
    rows = Image.objects.select_related("project", "registry")
    return _page(request, _or_404(_of(rows, request.user, slug).filter(name=name)))


@require_http_methods(["GET", "POST"])
@keeps(LeavingForm)
def cluster(request: HttpRequest, slug: str) -> HttpResponse:
    """A cluster."""
    require_admin(person(request.user))
    return _page(request, _or_404(Cluster.objects.filter(slug=slug)))


@require_http_methods(["GET", "POST"])
@keeps(LeavingForm)
def registry(request: HttpRequest, slug: str) -> HttpResponse:
    """A registry."""
    require_admin(person(request.user))
    return _page(request, _or_404(Registry.objects.filter(slug=slug)))


def _of(rows: QuerySet, user: Any, slug: str) -> QuerySet:
    return rows.filter(project__in=visible_projects(user), project__slug=slug)


def _or_404(rows: QuerySet) -> Any:
    row = rows.first()
    if row is None:
        raise Http404("There is no such thing here.")
    return row


def _page(request: HttpRequest, thing: Thing) -> HttpResponse:
    actor = person(request.user)
    require_right(actor, thing)
    text = text_of(thing)
    form = LeavingForm(forms.posted(request), name=text)
    if request.method == "POST" and forms.saved(
        form, lambda: DOES[form.cleaned_data["do"]](actor, thing=thing)
    ):
        done = form.cleaned_data["do"]
        messages.success(request, DONE[done].format(text))
        return redirect(own_page(thing) if done == RESTORE else list_page(thing))
    return forms.page(request, "projects/leaving.html", form, **_context(thing))


def _context(thing: Thing) -> dict[str, Any]:
    standing = standing_of(thing)
    context = {
        "standing": standing, "list_url": list_page(thing), "list_name": f"{kind_of(thing).title()}s",
        "back": list_page(thing) if standing.is_archived else own_page(thing),
    }  # fmt: skip
    project = project_of(thing)
    if project is None:
        names = {"list_name": "Clusters" if isinstance(thing, Cluster) else "Registries"}
        return {**context, **names, "base": "admin_page.html"}
    menu = [] if project.archived_at else menu_of(project, PART_OF_MENU[kind_of(thing)])
    if thing is project or project.archived_at:
        context["list_url"] = ""
    return {**context, "base": "projects/settings_page.html", "project": project, "menu": menu}


def own_page(thing: Thing) -> str:
    """The settings of the thing, while it is current."""
    if isinstance(thing, Cluster | Registry):
        return reverse(f"projects:{kind_of(thing)}", args=[thing.slug])
    if isinstance(thing, Environment):
        return reverse("projects:environment", args=[thing.project.slug, thing.slug])
    if isinstance(thing, Image):
        return reverse("projects:image", args=[thing.project.slug, thing.name])
    return reverse("projects:settings", args=[thing.slug])


def list_page(thing: Thing) -> str:
    """The list in which the thing stands, while it is current."""
    project = project_of(thing)
    if project is None:
        return reverse("projects:clusters" if isinstance(thing, Cluster) else "projects:registries")
    if thing is project or project.archived_at:
        return reverse("portal:board") if thing is project else reverse("portal:project", args=[project.slug])
    return reverse(
        "projects:environments" if isinstance(thing, Environment) else "projects:images", args=[project.slug]
    )


@require_safe
def archived(request: HttpRequest) -> HttpResponse:
    """What is archived, as far as the person may see it; of one project with `?project=`."""
    user: Any = request.user
    slug = request.GET.get("project", "")
    of_project = {"project__slug": slug} if slug else {}
    parts = {"project__archived_at": None, **of_project}
    groups: list[tuple[str, QuerySet]] = [
        ("Environments", _shown(Environment.objects.filter(visible_filter(user, "project"), **parts))),
        ("Images", _shown(Image.objects.filter(visible_filter(user, "project"), **parts))),
    ]
    if not slug:
        groups.insert(0, ("Projects", visible_projects(user).archived().order_by("name")))
    if not slug and user.is_admin:
        groups += [
            ("Clusters", Cluster.objects.archived().defer("kubeconfig").order_by("name")),
            ("Registries", Registry.objects.archived().order_by("name")),
            ("People", User.objects.filter(is_active=False).order_by("username")),
        ]
    filled = [(title, rows) for title, rows in ((title, list(found)) for title, found in groups) if rows]
    return forms.page(request, "projects/archived.html", groups=filled, slug=slug)


def _shown(rows: Any) -> QuerySet:
    return rows.archived().select_related("project").order_by("project__name", "name")
