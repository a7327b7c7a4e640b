"""Reading the audit: the right to read it, and each event as texts for a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import Http404

from audit import targets, verbs
from audit.models import AuditEvent
from audit.record import AFTER, BEFORE
from core.errors import Refused
from ui import days
from ui.days import Day

SHORT_HASH = 12
# In old events of these verbs a list of two values is a change: before and after.
TOLD_BY_LISTS = frozenset(
    [
        f"{kind}.changed"
        for kind in ("user", "project", "environment", "image", "secrets_file", "cluster", "registry")
    ]
    + ["membership.granted", "membership.revoked", "release.unmarked"]
)


def require_reader(user: Any) -> None:
    """Raises Refused, with the people to ask, unless the user is an admin or an auditor."""
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
    """All events. Raises Refused unless the user may read them."""
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
    """One line of an event's `data`. `before` is None for a plain value that is not a change."""

    name: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Entry:
    """An event as the page shows it. `url`: the page of its target, or empty."""

    event: AuditEvent
    words: str
    url: str
    changes: list[Change]

    @property
    def is_change(self) -> bool:
        """Whether the event holds values before and after."""
        return any(change.before is not None for change in self.changes)

    @property
    def refused(self) -> bool:
        """Whether the event is a refused attempt."""
        return self.event.verb.endswith(".refused")

    @property
    def names_target(self) -> bool:
        """Whether the page names the target: not when actor and target are the same person (sign-in)."""
        event = self.event
        own = event.target_kind == "user" and event.target_id == event.actor_id
        return bool(event.target_text) and not own and event.target_text != event.actor_text

    @property
    def names_project(self) -> bool:
        """Whether the page names the project beside the target: not when the target is the project itself."""
        event = self.event
        itself = event.target_kind in ("project", "membership")
        return bool(event.project_slug) and not itself and event.project_slug not in event.target_text

    @property
    def extra(self) -> str:
        """The part of `data` that the list shows: a reason, a result, or a person and their role."""
        if self.event.target_kind == "membership":
            return self._role
        return next((change.after for change in self.changes if change.name in ("reason", "result")), "")

    @property
    def _role(self) -> str:
        """`dev: viewer → deployer in staging`; the arrow only where one role took the place of another."""
        data = self.event.data if isinstance(self.event.data, dict) else {}
        roles = pair_of(self.event.verb, "role", data.get("role")) or ("", data.get("role", ""))
        where = f" in {data['environment']}" if data.get("environment") else ""
        return f"{data.get('person', '')}: {' → '.join(str(role) for role in roles if role)}{where}"

    @property
    def short_hash(self) -> str:
        """The first digits of the hash; empty while the event is not chained."""
        return self.event.hash[:SHORT_HASH]


def entry(event: AuditEvent) -> Entry:
    """The event as an Entry."""
    return Entry(
        event, verbs.words(event.verb), targets.url_of(event), changes_of(event.data, verb=event.verb)
    )


def changes_of(data: Any, *, verb: str = "") -> list[Change]:
    """The lines of an event's `data`: changes from one value to another, and plain values."""
    if not isinstance(data, dict):
        return [Change("data", None, readable(data))] if data else []
    found = []
    for name, value in data.items():
        pair = pair_of(verb, name, value)
        if pair is not None:
            found.append(Change(plain_name(name), readable(pair[0]), readable(pair[1])))
        elif isinstance(value, dict):
            found += [Change(f"{name}: {c.name}", c.before, c.after) for c in changes_of(value, verb=verb)]
        else:
            found.append(Change(plain_name(name), None, readable(value)))
    return found


def pair_of(verb: str, name: str, value: Any) -> tuple[Any, Any] | None:
    """The values before and after, if `value` is a change (audit/record.before_after); None for any other value.

    Older events with a verb of `TOLD_BY_LISTS` have a list of two plain values instead.
    """
    if isinstance(value, dict) and value.keys() == {BEFORE, AFTER}:
        return value[BEFORE], value[AFTER]
    if verb not in TOLD_BY_LISTS or not isinstance(value, list) or len(value) != 2:
        return None
    if any(isinstance(item, (dict, list)) for item in value) or is_list_of_names(name, value):
        return None
    return value[0], value[1]


def is_list_of_names(name: str, value: list[Any]) -> bool:
    """Whether a list of two in an old event names two things and is no change: the order of environments, the fields of
    a raw table."""
    return name == "in the raw tables" or (name == "order" and isinstance(value[0], str))


def plain_name(name: str) -> str:
    """A field's name in words: `is_admin` → `is admin`."""
    return str(name).replace("_", " ")


def readable(value: Any) -> str:
    """A JSON value in words: yes, no, – (None), a list with commas."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {readable(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(readable(item) for item in value)
    return str(value)


def by_day(events: Iterable[AuditEvent]) -> list[Day]:
    """Entries grouped by day, in the given order."""
    return days.by_day(map(entry, events), lambda shown: shown.event.at)
