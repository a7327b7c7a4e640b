"""Reading the audit: who may, how an event reads, and where what it tells of can be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import Http404
from django.urls import NoReverseMatch, reverse

from audit import verbs
from audit.models import AuditEvent
from core.errors import Refused
from ui import days
from ui.days import Day

SHORT_HASH = 12


def require_reader(user: Any) -> None:
    """Raises Refused, naming whom to ask, unless the user is an admin or an auditor."""
    if user.is_active and (user.is_admin or user.is_auditor):
        return
    admins = get_user_model().objects.filter(is_admin=True, is_active=True)
    raise Refused(
        "Only admins and auditors read the audit.",
        hint="An admin can make you an auditor.",
        code="role",
        ask=", ".join(admins.order_by("username").values_list("username", flat=True)[:5]),
    )


def events_for(user: Any) -> QuerySet[AuditEvent]:
    """All events, for those who may read them. Raises Refused."""
    require_reader(user)
    return AuditEvent.objects.all()


def event_for(user: Any, pk: int) -> AuditEvent:
    """One event. Raises Refused or Http404."""
    event = events_for(user).filter(pk=pk).first()
    if event is None:
        raise Http404(f"There is no event {pk}.")
    return event


@dataclass(frozen=True)
class Change:
    """One thing that `data` of an event says. `before` is None where only a value is told, not a change."""

    name: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Entry:
    """An event as the page shows it. `url`: where its target can be seen, or empty."""

    event: AuditEvent
    words: str
    url: str
    changes: list[Change]

    @property
    def is_change(self) -> bool:
        """Whether values before and after are told."""
        return any(change.before is not None for change in self.changes)

    @property
    def refused(self) -> bool:
        """Whether somebody was kept from doing something."""
        return self.event.verb.endswith(".refused")

    @property
    def names_target(self) -> bool:
        """Whether the target is worth a word: not where somebody did something about himself (signed in)."""
        event = self.event
        himself = event.target_kind == "user" and event.target_id == event.actor_id
        return bool(event.target_text) and not himself and event.target_text != event.actor_text

    @property
    def extra(self) -> str:
        """What is worth a glance without opening the event: a reason, a result."""
        return next((change.after for change in self.changes if change.name in ("reason", "result")), "")

    @property
    def short_hash(self) -> str:
        """The first signs of the hash; empty while the event is not chained yet."""
        return self.event.hash[:SHORT_HASH]


def entry(event: AuditEvent) -> Entry:
    """How an event reads."""
    return Entry(event, verbs.words(event.verb), target_url(event), changes_of(event.data))


def changes_of(data: Any) -> list[Change]:
    """What `data` says, line by line: a list of two values is a change, everything else a value."""
    if not isinstance(data, dict):
        return [Change("data", None, readable(data))] if data else []
    found = []
    for name, value in data.items():
        if isinstance(value, dict):
            found += [Change(f"{name}: {c.name}", c.before, c.after) for c in changes_of(value)]
        elif (
            isinstance(value, list)
            and len(value) == 2
            and not any(isinstance(v, (dict, list)) for v in value)
        ):
            found.append(Change(plain_name(name), readable(value[0]), readable(value[1])))
        else:
            found.append(Change(plain_name(name), None, readable(value)))
    return found


def plain_name(name: str) -> str:
    """`is_admin` reads as `is admin`."""
    return str(name).replace("_", " ")


def readable(value: Any) -> str:
    """A value of JSON in words: yes, no, –, a list with commas."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {readable(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(readable(item) for item in value)
    return str(value)


def target_url(event: AuditEvent) -> str:
    """The page of what an event tells of; empty when it has none."""
    try:
        if event.target_kind == "deploy" and event.target_id.isdigit():
            return reverse("deployments:deploy", args=[int(event.target_id)])
        if event.target_kind == "environment" and event.target_text.count(".") == 1:
            return reverse("deployments:environment", args=event.target_text.split("."))
        if event.target_kind == "project" and event.project_slug:
            return reverse("portal:project", args=[event.project_slug])
    except NoReverseMatch:
        return ""
    return ""


def by_day(events: Iterable[AuditEvent]) -> list[Day]:
    """Entries grouped by day, in the given order."""
    return days.by_day(map(entry, events), lambda shown: shown.event.at)
