"""The history: deploys by project, environment, person, state, time and revision, each filter a part of the address."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict

from core import keyset
from core.states import look
from deployments.models import Deploy
from people.models import User
from projects.access import visible_filter, visible_projects
from projects.models import Environment, Project
from runs.models import State

SYSTEM = "system"


def visible_deploys(user: Any) -> QuerySet[Deploy]:
    """The deploys of projects that a user may see, without their big columns."""
    return light_rows(Deploy.objects.filter(visible_filter(user)))


def light_rows(deploys: QuerySet[Deploy]) -> QuerySet[Deploy]:
    """What a line about a deploy needs, and no more."""
    return (
        deploys.select_related("environment__project", "rolls_back_to")
        .defer("evidence", "warnings", "environment__project__credential")
        .defer("rolls_back_to__evidence", "rolls_back_to__warnings")
    )


def start_of(day: date) -> datetime:
    """The first moment of a day. Days are those of UTC, as everything the database keeps."""
    return datetime.combine(day, time.min, UTC)


class HistoryFilter(django_filters.FilterSet):
    """The filters of the history. Construct with `user`: what somebody may not see cannot be chosen either."""

    project = django_filters.ChoiceFilter(
        field_name="environment__project__slug", label="Project", empty_label="Any"
    )
    environment = django_filters.ChoiceFilter(
        field_name="environment__slug", label="Environment", empty_label="Any"
    )
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
        super().__init__(data, queryset=visible_deploys(user))
        projects = list(visible_projects(user).order_by("slug").values_list("slug", flat=True))
        self.sees_everything = user.is_admin
        environments = Environment.objects.filter(visible_filter(user, "project"))
        slugs = list(environments.order_by().values_list("slug", flat=True).distinct())
        self._offer("project", projects)
        self._offer("environment", sorted(slugs))
        self._offer("person", [*people_near(user), SYSTEM])
        for name in ("since", "until"):
            self.form.fields[name].widget = forms.DateInput(attrs={"type": "date"})
        for name in ("revision", "q"):
            self.form.fields[name].widget.attrs |= {"placeholder": "any", "autocomplete": "off"}

    def _offer(self, name: str, values: list[str]) -> None:
        """The choices of a filter; what the address asks for is among them, so that it is never an error."""
        given = self.data.get(name, "") if self.data else ""
        known = [*values, given] if given and given not in values else values
        self.form.fields[name].choices = [(value, value) for value in known]

    def by_revision(self, rows: QuerySet[Deploy], name: str, value: str) -> QuerySet[Deploy]:
        """Revisions that begin so. A range and not LIKE, which SQLite answers without its index."""
        prefix = value.strip().lower()
        return rows.filter(revision__gte=prefix, revision__lt=f"{prefix}g") if prefix else rows

    def by_date(self, rows: QuerySet[Deploy], name: str, value: date) -> QuerySet[Deploy]:
        """Deploys asked for since, or until (that day included)."""
        since, until = (
            (start_of(value), None) if name == "since" else (None, start_of(value + timedelta(days=1)))
        )
        return keyset.between(rows, key="number", moment="created_at", since=since, until=until)

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return self.form.is_valid() and any(self.form.cleaned_data.values())


def people_near(user: Any) -> list[str]:
    """Names of those who may have deployed something that `user` sees."""
    near = Q(is_admin=True) | Q(memberships__project__in=visible_projects(user))
    return list(User.objects.filter(near).order_by("username").values_list("username", flat=True).distinct())


def page(chosen: HistoryFilter, parameters: QueryDict) -> keyset.Page:
    """The page that the address asks for; a filter that makes no sense shows nothing beside its error."""
    if not chosen.form.is_valid():
        return keyset.Page([], "", "")
    return keyset.page(chosen.qs, parameters, key="number")


def project_page(project: Project, parameters: QueryDict) -> keyset.Page:
    """A page of one project's deploys; the project was fetched with its right checked."""
    rows = light_rows(Deploy.objects.filter(environment__project=project))
    return keyset.page(rows, parameters, key="number")
