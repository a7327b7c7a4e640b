"""The history: deploys by project, environment, person, state, time and revision. Filters are query parameters."""

from __future__ import annotations

from datetime import date
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import cached_property

from core import dates, keyset
from deployments.models import Deploy
from deployments.queries import light
from projects.access import people_near, visible_filter, visible_projects
from projects.models import Environment, Project
from runs.models import State
from ui.states import look

SYSTEM = "system"


def light_rows(deploys: QuerySet[Deploy]) -> QuerySet[Deploy]:
    """Deploys with only the columns and relations that a line needs."""
    rows = light(deploys).select_related("rolls_back_to")
    return rows.defer(
        "rolls_back_to__evidence", "rolls_back_to__warnings", "release__images", "release__secret_versions"
    )


class HistoryFilter(django_filters.FilterSet):
    """The filters of the history. `user` limits both the deploys and the choices to projects that they may see.

    `qs`: the matching deploys. `environments`: primary keys of the environments it is limited to, None for all.
    """

    project = django_filters.ChoiceFilter(label="Project", empty_label="Any", method="elsewhere")
    environment = django_filters.ChoiceFilter(label="Environment", empty_label="Any", method="elsewhere")
    person = django_filters.ChoiceFilter(field_name="actor_text", label="Person", empty_label="Anyone")
    state = django_filters.ChoiceFilter(
        label="State", empty_label="Any", choices=[(state.value, look(state).word) for state in State]
    )
    kind = django_filters.ChoiceFilter(label="Kind", empty_label="Any", choices=Deploy.Kind.choices)
    revision = django_filters.CharFilter(label="Revision", method="by_revision")
    q = django_filters.CharFilter(field_name="subject", lookup_expr="icontains", label="Subject")
    since = django_filters.DateFilter(label="From", method="by_date")
    until = django_filters.DateFilter(label="To", method="by_date")

    class Meta:
        model = Deploy
        fields: list[str] = []

    def __init__(self, data: Any, *, user: Any) -> None:
        super().__init__(data, queryset=light_rows(Deploy.objects.all()))
        self.user = user
        projects = list(visible_projects(user).order_by("slug").values_list("slug", flat=True))
        environments = Environment.objects.filter(visible_filter(user, "project"))
        slugs = list(environments.order_by().values_list("slug", flat=True).distinct())
        self._offer("project", projects)
        self._offer("environment", sorted(slugs))
        self._offer("person", [*people_near(user), SYSTEM])
        dates.as_dates(self.form)
        for name in ("revision", "q"):
            self.form.fields[name].widget.attrs |= {"placeholder": "any", "autocomplete": "off"}

    def _offer(self, name: str, values: list[str]) -> None:
        """Sets the choices of a filter. The requested value is always among them, so that it is never an error."""
        given = self.data.get(name, "") if self.data else ""
        known = [*values, given] if given and given not in values else values
        self.form.fields[name].choices = [(value, value) for value in known]

    @cached_property
    def environments(self) -> list[int] | None:
        """Primary keys of the environments that match the filters and the person's rights; None for all."""
        wanted = {
            lookup: value
            for lookup, name in (("project__slug", "project"), ("slug", "environment"))
            if (value := self.form.cleaned_data.get(name))
        }
        if self.user.is_admin and not wanted:
            return None
        left = Environment.objects.filter(visible_filter(self.user, "project"), **wanted)
        return list(left.order_by().values_list("pk", flat=True))

    @property
    def qs(self) -> QuerySet[Deploy]:
        """The matching deploys of projects that the person may see. Requires valid filters."""
        rows = super().qs
        return rows if self.environments is None else rows.filter(environment__in=self.environments)

    @property
    def narrow(self) -> keyset.Narrow:
        """How to find a page of `qs` without sorting all of it. Filters by person and by revision have their own index; a filter
        by subject leaves few rows or finds a page of them soon."""
        own = ("person", "revision", "q")
        if self.environments is None or any(self.form.cleaned_data.get(name) for name in own):
            return keyset.as_they_are
        return within(self.environments)

    def elsewhere(self, rows: QuerySet[Deploy], name: str, value: str) -> QuerySet[Deploy]:
        """No condition here: `environments` applies the filters project and environment."""
        return rows

    def by_revision(self, rows: QuerySet[Deploy], name: str, value: str) -> QuerySet[Deploy]:
        """Revisions with this prefix. A range instead of LIKE, for which SQLite does not use the index."""
        prefix = value.strip().lower()
        return rows.filter(revision__gte=prefix, revision__lt=f"{prefix}g") if prefix else rows

    def by_date(self, rows: QuerySet[Deploy], name: str, value: date) -> QuerySet[Deploy]:
        """Deploys requested since `value` or until it (that day included)."""
        return dates.within(rows, name, value, key="number", moment="created_at")

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return self.form.is_valid() and any(self.form.cleaned_data.values())


def page(chosen: HistoryFilter, parameters: QueryDict) -> keyset.Page:
    """The requested page of deploys; empty when a filter is invalid."""
    if not chosen.form.is_valid():
        return keyset.Page([], "", "")
    return keyset.page(chosen.qs, parameters, key="number", narrow=chosen.narrow)


def project_page(project: Project, parameters: QueryDict) -> keyset.Page:
    """A page of one project's deploys. The caller has checked the right to the project."""
    environments = list(project.environments.order_by().values_list("pk", flat=True))
    rows = light_rows(Deploy.objects.filter(environment__in=environments))
    return keyset.page(rows, parameters, key="number", narrow=within(environments))


def within(environments: list[int]) -> keyset.Narrow:
    """Narrows lists of the deploys of some environments."""
    return keyset.within(Environment.objects.filter(pk__in=environments), "environment", "number")
