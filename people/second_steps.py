"""Second steps of sign-in: who has one, and taking away one that its person has lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from core.storable import storable_text
from people.models import User
from people.services import require_admin
from ui.templatetags.ui import ago

TYPE = Authenticator.Type


@dataclass(frozen=True)
class SecondStep:
    """A person's second step. `since`: when the app was set up, None without one. `codes_left`: recovery codes that are not used
    yet, None where none were made."""

    since: datetime | None = None
    last_used: datetime | None = None
    codes_left: int | None = None

    @property
    def is_set(self) -> bool:
        """Whether a code is asked for at sign-in."""
        return self.since is not None


NONE = SecondStep()


def of(user: User) -> SecondStep:
    """The second step of one person."""
    return held_by([user])[user.pk]


def held_by(people: Iterable[User]) -> Mapping[int, SecondStep]:
    """The second step of each person, by key. One query; nothing is decrypted."""
    found = {user.pk: NONE for user in people}
    for row in Authenticator.objects.filter(user__in=list(found)):
        if row.type == TYPE.RECOVERY_CODES:
            found[row.user_id] = replace(found[row.user_id], codes_left=_left(row.data))
        else:
            found[row.user_id] = replace(found[row.user_id], since=row.created_at, last_used=row.last_used_at)
    return found


def _left(data: Mapping[str, object]) -> int:
    """How many recovery codes are left, by allauth's mask of used ones."""
    return int(app_settings.RECOVERY_CODE_COUNT) - int(str(data.get("used_mask", 0))).bit_count()


def may_take_away(actor: Actor, user: User) -> None:
    """Raises Refused unless the actor is an admin and another person: one's own second step is turned off under one's account,
    which asks for a code or the password."""
    require_admin(actor)
    if actor.user is not None and actor.user.pk == user.pk:
        raise Refused(
            "This is your own second step; nothing was changed.",
            hint="Turn it off under Your account, Second step. If your phone is lost, ask another admin.",
        )


@transaction.atomic
def take_away(actor: Actor, *, user: User, reason: str) -> bool:
    """Takes away a person's second step and recovery codes, and ends all of their sessions. At each sign-in they are told, until
    they set up a new one. The caller has made sure that the admin signed in a short while ago. Returns whether there was any.
    Raises Refused."""
    may_take_away(actor, user)
    held = list(Authenticator.objects.select_for_update().filter(user=user))
    if not held:
        return False
    Authenticator.objects.filter(pk__in=[one.pk for one in held]).delete()
    User.objects.filter(pk=user.pk).update(
        sessions_ended=F("sessions_ended") + 1,
        second_step_taken_at=timezone.now(),
        second_step_taken_by=actor.text,
    )
    record(
        actor, "second_factor.removed", target_kind="user", target_id=user.pk, target_text=user.username,
        data={
            "kind": ", ".join(str(one.get_type_display()) for one in held), "by": "admin",
            "sessions": "every session ended", "reason": storable_text(reason),
        },
    )  # fmt: skip
    return True


def set_up_again(user: User) -> None:
    """Notes that the person has a second step again, so that they need not be told any more."""
    User.objects.filter(pk=user.pk, second_step_taken_at__isnull=False).update(
        second_step_taken_at=None, second_step_taken_by=""
    )


def told(user: User) -> str:
    """What a person reads at sign-in after their second step was taken away."""
    return format_html(
        'The admin {} took away your second step {}. <a href="{}">Set up a new one</a>. '
        "If you did not ask for that, change your password and tell another admin.",
        user.second_step_taken_by, ago(user.second_step_taken_at), reverse("mfa_index"),
    )  # fmt: skip
