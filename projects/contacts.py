"""Contacts: whether an outside system answered when the portal last asked it. The code that asks notes the result here.

A note is cheap: one read, and a write only when the state changes or the last one is SPARE old.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db.models import Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from adapters.errors import Denied, ExternalError, Throttled, TimedOut, Unavailable
from adapters.git.command import host_of
from core import changes
from core.models import Contact
from core.redactor import redact_text
from projects.models import Project

log = structlog.get_logger(__name__)
SPARE = timedelta(seconds=30)
REDIS, SLACK, GITHUB = "redis", "slack", "github"
GIT, AWS, REGISTRY = "git", "aws", "registry"  # followed by the host or the region


def note_answer(name: str) -> None:
    """The system answered. `name`: kind and address, e.g. `git github.com`."""
    note(name)


def note_error(name: str, error: ExternalError, *, strict: bool = False) -> None:
    """A request failed. Only a system that did not answer counts as failing; with a refusal of this one request (a wrong
    name, a missing right) it answered, and a refused credential says nothing.

    `strict`: each error counts, because the request was made only to see whether the system answers.
    """
    if strict or isinstance(error, (Unavailable, TimedOut)):
        note(name, error.message or "It did not answer.", error.hint)
    elif not isinstance(error, (Denied, Throttled)):
        note(name)


def note(name: str, error: str = "", hint: str = "") -> None:
    """Notes an answer, or the error in plain words. Raises nothing: a note must never fail the work that it is about."""
    error, hint = redact_text(error)[:500], redact_text(hint)[:500]
    try:
        _write(name[:200], error, hint)
    except DatabaseError as broken:
        log.warning("a contact was not noted", contact=name, error=type(broken).__name__)
        close_old_connections()


def _write(name: str, error: str, hint: str) -> None:
    known = Contact.objects.filter(name=name).values_list("error", "tried_at").first()
    if known is not None and known[0] == error and timezone.now() - known[1] < SPARE:
        return
    said = {"tried_at": Now(), "error": error, "hint": hint}
    if error:
        said["failed_at"] = Now() if known is None else Coalesce("failed_at", Now())
    else:
        said |= {"answered_at": Now(), "failed_at": None}
    if known is None or known[0] != error:
        changes.note_topic(changes.STATUS)
    if Contact.objects.filter(name=name).update(**said) == 0:
        Contact.objects.get_or_create(name=name, defaults=said)


def name_of(kind: str, address: str) -> str:
    """The name of a contact of which there may be several."""
    return f"{kind} {address}"[:200]


def git_host(project: Project) -> str:
    """The name of the contact with the host of a project's repository."""
    return name_of(GIT, host_of(project.repository_url).lower())


def heard(prefix: str = "") -> dict[str, Contact]:
    """The contacts whose names begin so, by name."""
    rows = Contact.objects.filter(name__startswith=prefix) if prefix else Contact.objects.all()
    return {row.name: row for row in rows}


def heard_within(seconds: float) -> set[str]:
    """Names of systems with a noted request in that time."""
    recent = Q(tried_at__gt=Now() - timedelta(seconds=seconds))
    return set(Contact.objects.filter(recent).values_list("name", flat=True))
