"""All changes of accounts. Each function checks the right and writes the audit event in one transaction."""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone

from audit.actors import Actor, person
from audit.models import AuditEvent
from audit.record import before_after, record
from core.errors import Refused
from core.storable import storable_text
from people.models import SetupLink, User


def require_admin(actor: Actor) -> None:
    """Raises Refused unless the actor is an admin or the portal itself."""
    if actor.kind == "system" or (actor.user is not None and actor.user.is_active and actor.user.is_admin):
        return
    raise Refused(
        "Only admins may do that.", hint="Ask an admin of this portal.", code="role", ask=admins_text()
    )


def admins_text() -> str:
    """The admins' names, for “whom to ask”."""
    names = User.objects.filter(is_admin=True, is_active=True).values_list("username", flat=True)[:5]
    return ", ".join(names)


@transaction.atomic
def new_setup_link() -> str | None:
    """A new token for the first admin, or None once there is an admin. Earlier links stop working."""
    if User.objects.filter(is_admin=True).exists():
        return None
    token = secrets.token_urlsafe(32)
    SetupLink.objects.filter(user=None).delete()
    SetupLink.objects.create(token_hash=SetupLink.hash_of(token))
    return token


def setup_link_for(token: str) -> SetupLink:
    """The usable link of a token. Raises Refused, with the remedy, for any other token."""
    link = SetupLink.objects.filter(token_hash=SetupLink.hash_of(token), user=None).first()
    if link is None or not link.is_usable or User.objects.filter(is_admin=True).exists():
        raise Refused(
            "This set-up link is not valid: it was used, replaced by a newer one, or is older than a day.",
            hint="If there is no admin yet, the command “manage.py setuplink” prints a new one. Otherwise sign in.",
            code="setup-link",
        )
    return link


def complete_setup(*, token: str, username: str, password: str, name: str = "", email: str = "") -> User:
    """Makes the first admin. Of two concurrent attempts one succeeds. Raises Refused and ValidationError (password too
    weak)."""
    link = setup_link_for(token)
    user = User(username=username, name=storable_text(name), email=email, is_admin=True)
    give_password(user, password)
    with transaction.atomic():
        if SetupLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()) != 1:
            raise Refused("This set-up link was used a moment ago.", hint="Sign in.", code="setup-link")
        user.save()
        record(person(user), "setup.completed", target_kind="user", target_id=user.pk, target_text=str(user))
    return user


def give_password(user: User, password: str) -> None:
    """Checks and hashes a password; the caller saves it. Outside of a transaction: hashing takes long on purpose, and SQLite has
    one writer at a time. Raises ValidationError (too weak)."""
    validate_password(password, user)
    user.set_password(password)


def _require_new_name(username: str) -> None:
    """Raises ValidationError for the name of an account that was removed: the audit shows it as another person's."""
    removed = AuditEvent.objects.filter(verb="user.removed", target_text__iexact=username)
    if removed.exists():
        raise ValidationError(
            {
                "username": [
                    f"{username} was the name of an account that was removed; the audit still shows it."
                ]
            }
        )


def create_user(
    actor: Actor, *, username: str, password: str = "", name: str = "", email: str = "",
    is_admin: bool = False, is_auditor: bool = False,
) -> User:  # fmt: skip
    """Makes an account. Without a password nobody can sign in until the person has chosen one by a link (people/links.py).
    Raises Refused (the actor is no admin) and ValidationError (password too weak for Django's
    validators; the name of an account that was removed)."""
    require_admin(actor)
    _require_new_name(username)
    user = User(
        username=username, name=storable_text(name), email=email, is_admin=is_admin, is_auditor=is_auditor
    )
    if password:
        give_password(user, password)
    else:
        user.set_unusable_password()
    with transaction.atomic():
        user.save()
        record(
            actor, "user.created", target_kind="user", target_id=user.pk, target_text=username,
            data={"is_admin": is_admin, "is_auditor": is_auditor},
        )  # fmt: skip
    return user


@transaction.atomic
def change_user(actor: Actor, *, user: User, name: str, email: str, is_admin: bool, is_auditor: bool) -> User:
    """Changes an account. Raises Refused, also for demoting the last active admin. For archiving: people/leaving.py."""
    require_admin(actor)
    user, admins = locked_with_admins(actor, user)
    if admins == [user] and not is_admin:
        raise Refused(
            f"{user} is the last admin; nothing was changed.",
            hint="Make another person an admin first.",
            code="last-admin",
        )
    before = {key: getattr(user, key) for key in ("name", "email", "is_admin", "is_auditor")}
    after = {
        "name": storable_text(name),
        "email": email,
        "is_admin": is_admin,
        "is_auditor": is_auditor,
    }
    if before == after:
        return user
    for key, value in after.items():
        setattr(user, key, value)
    user.save()
    changed = {key: before_after(before[key], after[key]) for key in after if before[key] != after[key]}
    record(
        actor, "user.changed", target_kind="user", target_id=user.pk, target_text=user.username, data=changed
    )
    return user


def locked_with_admins(actor: Actor, user: User) -> tuple[User, list[User]]:
    """The account and all active admins, read anew and locked in the order of their keys: two admins who demote each other wait
    for one another, and the second one sees what the first has changed. Raises Refused when the actor is no admin any more,
    Http404 for an account that was removed."""
    rows = User.objects.filter(Q(pk=user.pk) | Q(is_admin=True)).order_by("pk")
    locked = {row.pk: row for row in rows.select_for_update()}
    if actor.user is not None:  # an admin may have been demoted while this waited for the lock
        actor.user.refresh_from_db(fields=["is_admin", "is_active"])
    require_admin(actor)
    if user.pk not in locked:
        raise Http404("There is no such account.")
    return locked[user.pk], [row for row in locked.values() if row.is_admin and row.is_active]


def set_password(actor: Actor, *, user: User, password: str) -> None:
    """Sets a new password, which ends the user's sessions. Raises Refused, ValidationError (too weak)."""
    require_admin(actor)
    give_password(user, password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        record(
            actor, "password.changed", target_kind="user", target_id=user.pk, target_text=user.username,
            data={"by": "admin", "sessions": "every session ended"},
        )  # fmt: skip


@transaction.atomic
def change_own(actor: Actor, *, name: str, email: str) -> User:
    """Changes the actor's own name and e-mail address."""
    user = User.objects.select_for_update().get(pk=actor.user.pk)
    before = {"name": user.name, "email": user.email}
    after = {"name": storable_text(name), "email": email}
    if before == after:
        return user
    User.objects.filter(pk=user.pk).update(**after)
    changed = {key: before_after(before[key], after[key]) for key in after if before[key] != after[key]}
    record(
        actor, "user.changed", target_kind="user", target_id=user.pk, target_text=user.username, data=changed
    )
    return user


def people_for(actor: Actor) -> QuerySet[User]:
    """All accounts. Raises Refused unless the actor is an admin."""
    require_admin(actor)
    return User.objects.order_by("-is_active", "username")


def person_for(actor: Actor, pk: int) -> User:
    """One account. Raises Refused unless the actor is an admin, Http404."""
    user = people_for(actor).filter(pk=pk).first()
    if user is None:
        raise Http404("There is no such account.")
    return user
