"""One-time links by which people choose their own password: after an admin made their account, or when they lost the old one."""

from __future__ import annotations

import secrets

from django.db import transaction
from django.utils import timezone

from audit.actors import Actor, person
from audit.record import record
from core.errors import Refused
from people.models import SetupLink, User
from people.services import give_password, require_admin


@transaction.atomic
def new_link(actor: Actor, *, user: User) -> str:
    """The token of a new link for an active account; earlier links of it stop working. The old password goes on until another one
    is chosen; a password that is set otherwise ends the link (`User.save`). Raises Refused."""
    require_admin(actor)
    if not user.is_active:
        raise Refused(
            f"The account {user.username} is switched off; no link was made.", hint="Switch it on first."
        )
    token = secrets.token_urlsafe(32)
    SetupLink.objects.filter(user=user).delete()
    SetupLink.objects.create(token_hash=SetupLink.hash_of(token), user=user, made_by=actor.user)
    record(actor, "password.link_made", target_kind="user", target_id=user.pk, target_text=user.username)
    return token


def link_of(token: str) -> SetupLink | None:
    """The usable link of a token for a person who chooses a password. None for any other token."""
    found = SetupLink.objects.select_related("user").filter(token_hash=SetupLink.hash_of(token)).first()
    usable = found is not None and found.user is not None and found.is_usable and found.user.is_active
    return found if usable else None


def choose_password(link: SetupLink, *, password: str) -> User:
    """Sets the password of a link's person, which ends their sessions. Of two concurrent attempts one succeeds. Raises Refused
    and ValidationError (too weak)."""
    user = link.user
    assert user is not None  # noqa: S101  # link_of gives no other
    give_password(user, password)
    with transaction.atomic():
        if SetupLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()) != 1:
            raise Refused("This link was used a moment ago.", hint="Sign in.", code="setup-link")
        user.save(update_fields=["password"])
        record(
            person(user), "password.changed", target_kind="user", target_id=user.pk, target_text=user.username,
            data={"by": "themselves, by a link", "sessions": "every session ended"},
        )  # fmt: skip
    return user
