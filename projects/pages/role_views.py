"""A person's roles in many projects at once, for admins; and the question before a role is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.kept import keeps
from people.models import User
from people.services import person_for
from projects import memberships
from projects.lookup import membership_of, settings_of
from projects.models import Membership, Project, Role
from projects.pages.role_forms import MOST, RoleFormSet
from projects.pages.saving import settings_page
from ui.forms import page


@dataclass(frozen=True)
class Held:
    """A project with the person's roles there: `role` in all of it, `parts` in single environments, in words."""

    project: Project
    role: str
    parts: str


@require_http_methods(["GET", "POST"])
@keeps(RoleFormSet)
def person_roles(request: HttpRequest, pk: int) -> HttpResponse:
    """The table of projects and roles, and saving all of it."""
    actor = person(request.user)
    user = person_for(actor, pk)
    words = request.GET.get("q", "").strip()
    if request.method == "POST":
        form = RoleFormSet(request.POST)
        if not form.is_valid():
            return _page(
                request,
                user,
                words,
                form,
                ["This page was damaged on its way; nothing was saved. Open it anew."],
            )
        outcome = memberships.set_roles(actor, user=user, wanted=form.wanted())
        if not outcome.differs:
            messages.success(request, outcome.sentence)
            return redirect("people:person", pk)
        form.now(outcome.differs)
        return _page(request, user, words, form, [outcome.sentence])
    return _page(request, user, words, None)


def _page(
    request: HttpRequest, user: User, words: str, form: Any, problems: list[str] | None = None
) -> HttpResponse:
    found = held_by(user, words)
    shown = found[:MOST]
    if form is None:
        form = RoleFormSet(
            initial=[{"project": row.project.pk, "was": row.role, "role": row.role} for row in shown]
        )
    by_key = {row.project.pk: row for row in found}
    rows = [(by_key[key], one) for one in form.forms if (key := int(one["project"].value() or 0)) in by_key]
    return page(
        request, "projects/person_roles.html", None, refused=bool(problems), person=user, words=words, form_rows=rows,
        management=form.management_form, problems=problems or [], more=len(found) - len(shown),
    )  # fmt: skip


def held_by(user: User, words: str = "") -> list[Held]:
    """The current projects whose name, short name or group has these words, those with a role first. Two queries."""
    named = Q(name__icontains=words) | Q(slug__icontains=words) | Q(group__icontains=words)
    projects = Project.objects.current().filter(named).only("pk", "slug", "name", "group")
    roles: dict[int, str] = {}
    parts: dict[int, list[str]] = {}
    for row in (
        Membership.objects.filter(user=user).select_related("environment").order_by("environment__order")
    ):
        if row.environment is None:
            roles[row.project_id] = row.role
        else:
            parts.setdefault(row.project_id, []).append(
                f"{Role(row.role).label.lower()} in {row.environment.name}"
            )
    found = [Held(one, roles.get(one.pk, ""), ", ".join(parts.get(one.pk, []))) for one in projects]
    return sorted(found, key=lambda held: (not (held.role or held.parts), held.project.name.lower()))


@require_http_methods(["GET", "POST"])
def member_revoke(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Asks before a role is taken away, and takes it away."""
    project = settings_of(request.user, slug)
    membership = membership_of(project, pk)
    if request.method == "GET":
        return settings_page(request, "member_revoke", project, "members", membership=membership)
    memberships.revoke(person(request.user), membership=membership)
    messages.success(request, f"{membership.user} no longer has that role.")
    return redirect("projects:members", slug)
