"""The list of builds: by project, state, branch, person and revision. Filters are query parameters."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import cached_property

from builds.models import Build
from builds.pages.build_rows import light, state_of
from core import keyset
from projects.access import people_near, visible_filter, visible_projects
from projects.models import Project
from runs.models import OPEN, State
from ui.states import look

SYSTEM = "system"


class BuildFilter(django_filters.FilterSet):
    """The filters of the list. `user` limits both the builds and the choices to projects that they may see.

    `qs`: the matching builds. `projects`: primary keys of the projects it is limited to, None for all.
    """

    project = django_filters.ChoiceFilter(label="Project", empty_label="Any", method="elsewhere")
    state = django_filters.ChoiceFilter(
        label="State", empty_label="Any",
        choices=[(state.value, look(state_of(Build(state=state))).word) for state in State],
    )  # fmt: skip
    branch = django_filters.CharFilter(label="Branch", method="by_branch")
    who = django_filters.ChoiceFilter(label="Who", empty_label="Anyone", method="by_person")
    revision = django_filters.CharFilter(label="Revision", method="by_revision")

    class Meta:
        model = Build
        fields: list[str] = []

    def __init__(self, data: Any, *, user: Any) -> None:
        super().__init__(data, queryset=light(Build.objects.all()))
        self.user = user
        self._offer("project", list(visible_projects(user).order_by("slug").values_list("slug", flat=True)))
        self._offer("who", [*people_near(user), SYSTEM])
        for name in ("branch", "revision"):
            self.form.fields[name].widget.attrs |= {"placeholder": "any", "autocomplete": "off"}

    def _offer(self, name: str, values: list[str]) -> None:
        """Sets the choices of a filter. The requested value is always among them, so that it is never an error."""
        given = self.data.get(name, "") if self.data else ""
        known = [*values, given] if given and given not in values else values
        self.form.fields[name].choices = [(value, value) for value in known]

    @cached_property
    def projects(self) -> list[int] | None:
        """Primary keys of the projects that match the filter and the person's rights; None for all."""
        wanted = self.form.cleaned_data.get("project")
        if self.user.is_admin and not wanted:
            return None
        rows = visible_projects(self.user)
        rows = rows.filter(slug=wanted) if wanted else rows
        return list(rows.order_by().values_list("pk", flat=True))

    @property
    def qs(self) -> QuerySet[Build]:
        """The matching builds of projects that the person may see. Requires valid filters."""
        rows = super().qs
        return rows if self.projects is None else rows.filter(project__in=self.projects)

    @property
    def narrow(self) -> keyset.Narrow:
        """How to find a page of `qs` without sorting all of it."""
        if self.projects is None or self.form.cleaned_data.get("who"):
            return keyset.as_they_are
        return keyset.within(Project.objects.filter(pk__in=self.projects), "project", "number")

    def elsewhere(self, rows: QuerySet[Build], name: str, value: str) -> QuerySet[Build]:
        """No condition here: `projects` applies the filter."""
        return rows

    def by_branch(self, rows: QuerySet[Build], name: str, value: str) -> QuerySet[Build]:
        """Builds of exactly this branch."""
        return rows.filter(branch=value.strip()) if value.strip() else rows

    def by_person(self, rows: QuerySet[Build], name: str, value: str) -> QuerySet[Build]:
        """Builds that this person asked for, or that followed a push by this person of the Git host."""
        return rows.filter(actor_text__in=[value, f"push by {value}"])

    def by_revision(self, rows: QuerySet[Build], name: str, value: str) -> QuerySet[Build]:
        """Revisions with this prefix. A range instead of LIKE, for which SQLite does not use the index."""
        prefix = value.strip().lower()
        return rows.filter(revision__gte=prefix, revision__lt=f"{prefix}g") if prefix else rows

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return self.form.is_valid() and any(self.form.cleaned_data.values())


def page(chosen: BuildFilter, parameters: QueryDict) -> keyset.Page:
    """The requested page of builds; empty when a filter is invalid."""
    if not chosen.form.is_valid():
        return keyset.Page([], "", "")
    return keyset.page(chosen.qs, parameters, key="number", narrow=chosen.narrow)


def open_count(user: Any) -> int:
    """How many builds that the person may see have not ended."""
    return Build.objects.filter(visible_filter(user, "project"), state__in=OPEN).count()


def of_project(project: Project, count: int) -> list[Build]:
    """The newest builds of a project, as light rows. The caller has checked the right to the project."""
    return list(light(Build.objects.filter(project=project)).order_by("-number")[:count])
