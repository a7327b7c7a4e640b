"""Audits sign-in, sign-out, own passwords and second factors. These happen inside allauth, so its and Django's signals
report them; nothing else in the portal uses signals."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_set
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from django.contrib import messages
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from audit.actors import Actor, person
from audit.record import record
from people import second_steps

AGAIN = "on a page that asks again"


@receiver(user_logged_in)
def signed_in(user: Any, request: HttpRequest | None = None, **_: Any) -> None:
    """Audits a sign-in, and tells a person whose second step was taken away."""
    record(person(user), "session.started", target_kind="user", target_id=user.pk, target_text=str(user))
    if request is not None and user.second_step_taken_at:
        messages.warning(request, second_steps.told(user), fail_silently=True)


@receiver(user_logged_out)
def signed_out(user: Any, **_: Any) -> None:
    """Audits a sign-out. Ignores one without a user."""
    if user is not None:
        record(person(user), "session.ended", target_kind="user", target_id=user.pk, target_text=str(user))


@receiver(user_login_failed)
def refused(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Audits a refused sign-in: with the entered user name, never with the password. A person who is signed in gave it on a page
    that asks again."""
    name = str(credentials.get("username") or "")[:100]
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        wrong_password(user, AGAIN)
        return
    record(
        Actor(kind="person", id="", text=name or "unknown"),
        "session.refused",
        target_kind="user",
        target_text=name,
    )


def wrong_password(user: Any, where: str) -> None:
    """Audits that a person who is signed in gave a wrong password of their own: another one may sit at their place."""
    record(
        person(user), "password.refused", target_kind="user", target_id=user.pk, target_text=str(user), data={"where": where}
    )  # fmt: skip


def wrong_code(user: Any, where: str) -> None:
    """Audits a wrong code. The caller knew the password, but need not be the person. allauth limits the tries."""
    record(
        Actor(kind="person", id="", text=user.get_username()), "second_factor.refused", target_kind="user",
        target_id=user.pk, target_text=str(user), data={"where": where},
    )  # fmt: skip


@receiver(password_changed)
@receiver(password_set)
def own_password(user: Any, **_: Any) -> None:
    """Audits that a person changed their own password. Django ends their other sessions with it."""
    data = {"by": "themselves", "sessions": "every other session ended"}
    record(
        person(user),
        "password.changed",
        target_kind="user",
        target_id=user.pk,
        target_text=str(user),
        data=data,
    )


@receiver(authenticator_added)
def factor_added(user: Any, authenticator: Any, **_: Any) -> None:
    """Audits that a person set up an authenticator app or got recovery codes."""
    second_steps.set_up_again(user)
    record(person(user), "second_factor.added", target_kind="user", **about(user, authenticator))


@receiver(authenticator_removed)
def factor_removed(user: Any, authenticator: Any, **_: Any) -> None:
    """Audits that a person removed a second factor of their own."""
    record(person(user), "second_factor.removed", target_kind="user", **about(user, authenticator))


@receiver(authenticator_reset)
def factor_renewed(user: Any, authenticator: Any, **_: Any) -> None:
    """Audits that a person made new recovery codes."""
    record(person(user), "second_factor.renewed", target_kind="user", **about(user, authenticator))


@receiver(authentication_failed)
def factor_refused(user: Any, authenticator: Any, reauthentication: bool = False, **_: Any) -> None:
    """Audits a wrong code."""
    wrong_code(user, AGAIN if reauthentication else "at sign-in")


def about(user: Any, authenticator: Any) -> dict[str, Any]:
    """The arguments of `record` for a person's own second factor."""
    kind = str(authenticator.get_type_display())
    return {"target_id": user.pk, "target_text": str(user), "data": {"kind": kind}}
