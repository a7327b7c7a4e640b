"""The filters of the audit page. Each is a parameter of the address."""

from __future__ import annotations

from datetime import date
from typing import Any

import django_filters
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from audit.models import AuditEvent
from audit.verbs import VERBS
from core import dates


def verb_choices() -> list[tuple[str, Any]]:
    """Choices of the filter by verb: for each group the group as a whole (`deploy.`), then its verbs."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for verb, words in VERBS.items():
        about = verb.partition(".")[0]
        groups.setdefault(about, [(f"{about}.", f"anything about {about.replace('_', ' ')}")]).append(
            (verb, words)
        )
    return [(about.replace("_", " ").capitalize(), choices) for about, choices in groups.items()]


class AuditFilter(django_filters.FilterSet):
    """Filters by actor, verb, target, project and date. Construct it with the events that the person may read."""

    who = django_filters.ChoiceFilter(field_name="actor_text", label="Person", empty_label="Anyone")
    verb = django_filters.ChoiceFilter(
        label="What", empty_label="Anything", method="by_verb", choices=verb_choices
    )
    project = django_filters.CharFilter(field_name="project_slug", label="Project")
    target = django_filters.CharFilter(label="Target", method="by_target")
    since = django_filters.DateFilter(label="From", method="by_date")
    until = django_filters.DateFilter(label="To", method="by_date")
    request = django_filters.CharFilter(field_name="request_id", label="Request")

    class Meta:
        model = AuditEvent
        fields: list[str] = []

    def __init__(self, data: Any, *, events: QuerySet[AuditEvent]) -> None:
        super().__init__(data, queryset=events)
        people = get_user_model().objects.order_by("username").values_list("username", flat=True)
        names = [*people, "system"]
        given = self.data.get("who", "") if self.data else ""
        known = [*names, given] if given and given not in names else names
        self.form.fields["who"].choices = [(name, name) for name in known]
        dates.as_dates(self.form)
        for name, example in {"project": "any", "target": "any, or #12", "request": "any"}.items():
            self.form.fields[name].widget.attrs |= {"placeholder": example, "autocomplete": "off"}

    def by_verb(self, events: QuerySet[AuditEvent], name: str, value: str) -> QuerySet[AuditEvent]:
        """Events of one verb, or of all verbs with this prefix (as a range of texts, which every database answers from its
        index)."""
        if value.endswith("."):
            return events.filter(verb__gte=value, verb__lt=value[:-1] + "/")
        return events.filter(verb=value)

    def by_target(self, events: QuerySet[AuditEvent], name: str, value: str) -> QuerySet[AuditEvent]:
        """A deploy by its number (`#12`), else a part of the target's text."""
        text = value.strip()
        if text.startswith("#") and text[1:].isascii() and text[1:].isdigit():
            return events.filter(target_kind="deploy", target_id=text[1:])
        return events.filter(Q(target_text__icontains=text) | Q(target_id=text)) if text else events

    def by_date(self, events: QuerySet[AuditEvent], name: str, value: date) -> QuerySet[AuditEvent]:
        """Events since, or until (that day included)."""
        return dates.within(events, name, value, key="id", moment="at")

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return self.form.is_valid() and any(self.form.cleaned_data.values())
