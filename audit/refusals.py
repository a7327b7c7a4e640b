"""Puts refused requests on record: an attempt to do what the person may not. Bounded, so that nobody can flood the audit.

Services that tell more about a refusal (a deploy, secrets) write an event of their own; then none is added here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from audit.actors import PERSON, Actor, person
from audit.models import AuditEvent
from audit.record import record
from core.errors import Refused, Stale, status_of
from core.origin import origin
from engine.errors import SlipwayError
from ui.refused import note, noting

VERB = "request.refused"
# Events within an hour. All callers without a session count as one person. The log has every refusal.
PER_PERSON = 20
ALTOGETHER = 300
HOUR = timedelta(hours=1)
NOBODY = Actor(kind=PERSON, id="", text="nobody signed in")
# Wrong input is no attempt to do what is not allowed: the form tells the person.
UNPROCESSABLE = 422


class RefusalsMiddleware:
    """Stands after ErrorsMiddleware: it sees an error first, and leaves the answer to that."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with noting() as noted:
            response = self.get_response(request)
        for error in filter(is_refusal, noted):
            put_on_record(request, error.message, error.code)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Notes a refusal. The transaction of the refused change was rolled back before."""
        if isinstance(exception, PermissionDenied):
            note(Refused("Only admins may open this page.", code="role"))
        elif isinstance(exception, SlipwayError):
            note(exception)


def is_refusal(error: Exception) -> bool:
    """Whether the error refuses something: not for wrong input, nor because another person was faster."""
    return isinstance(error, Refused) and not isinstance(error, Stale) and status_of(error) != UNPROCESSABLE


def put_on_record(request: HttpRequest, reason: str, code: str) -> AuditEvent | None:
    """Writes the event, unless a service wrote its own or there were too many. The last one allowed says so."""
    user = getattr(request, "user", None)
    actor = person(user) if user is not None and user.is_authenticated else NOBODY
    told = AuditEvent.objects.filter(request_id=origin().request_id, verb__endswith=".refused")
    left = room_for(actor)
    if left < 1 or told.exists():
        return None
    data: dict[str, Any] = {"reason": reason, "code": code}
    if left == 1:
        data["more"] = "Further refusals within this hour are only in the log."
    match = request.resolver_match
    names = match.kwargs if match else {}
    project = str(names.get("project", ""))[:40]
    page = page_of(request, names)
    return record(actor, "request.refused", target_kind="page", target_text=page, project=project, data=data)


def page_of(request: HttpRequest, names: dict[str, Any]) -> str:
    """The method and the address without its query, and without the token of a set-up link."""
    path = request.path
    if names.get("token"):
        path = path.replace(str(names["token"]), "…")
    return f"{request.method} {path}"


def room_for(actor: Actor) -> int:
    """The number of refusals that may still be recorded for the actor within this hour."""
    recent = AuditEvent.objects.filter(verb=VERB, at__gt=timezone.now() - HOUR).order_by("-id")
    own = recent.filter(actor_id=actor.id, actor_text=actor.text[:150])[:PER_PERSON].count()
    return min(PER_PERSON - own, ALTOGETHER - recent[:ALTOGETHER].count())
