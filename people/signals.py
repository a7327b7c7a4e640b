"""Audits sign-in and sign-out. These happen inside allauth, so Django's signals report them; nothing else in the portal
uses signals."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from audit.actors import Actor, person
from audit.record import record


@receiver(user_logged_in)
def signed_in(user: Any, **_: Any) -> None:
    """Audits a sign-in."""
    record(person(user), "session.started", target_kind="user", target_id=user.pk, target_text=str(user))


@receiver(user_logged_out)
def signed_out(user: Any, **_: Any) -> None:
    """Audits a sign-out. Ignores one without a user."""
    if user is not None:
        record(person(user), "session.ended", target_kind="user", target_id=user.pk, target_text=str(user))


@receiver(user_login_failed)
def refused(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Audits a refused sign-in: with the entered user name, never with the password."""
    name = str(credentials.get("username") or "")[:100]
    record(
        Actor(kind="person", id="", text=name or "unknown"),
        "session.refused",
        target_kind="user",
        target_text=name,
    )
