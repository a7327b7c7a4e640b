"""Archives, restores and removes accounts. An archived account cannot sign in; its roles and its history are kept.

Each function checks the right, is idempotent, and writes the audit event in one transaction.
"""

from __future__ import annotations

from django.db import transaction
from django.http import Http404

from audit.actors import Actor
from audit.models import AuditEvent
from audit.record import record
from core.errors import Refused
from core.leaving import Reason, Standing, left_outside, refers_to, sentences, still_open
from people.models import User
from people.services import locked_with_admins, require_admin

EFFECTS = (
    "The person cannot sign in, and is signed out at once.",
    "Their roles are kept, and what they did keeps their name.",
    "Nobody can give them a role.",
)


@transaction.atomic
def archive(actor: Actor, *, user: User) -> None:
    """Archives an account. One that is archived is no error. Raises Refused (role, last-admin)."""
    require_admin(actor)
    row, admins = locked_with_admins(actor, user)
    if not row.is_active:
        return
    if admins == [row]:
        raise Refused(
            f"{row} is the last admin; nothing was changed.",
            hint="Make another person an admin first.",
            code="last-admin",
        )
    if reasons := still_open(row):
        raise Refused(f"{row} cannot be archived now. {sentences(reasons)}", code="in-use")
    _set_active(actor, row, False, verb="user.archived")


@transaction.atomic
def restore(actor: Actor, *, user: User) -> None:
    """Lets the person sign in again, with the roles of before. One that is not archived is no error. Raises Refused."""
    require_admin(actor)
    row, _ = locked_with_admins(actor, user)
    if not row.is_active:
        _set_active(actor, row, True, verb="user.restored")


@transaction.atomic
def remove(actor: Actor, *, user: User) -> None:
    """Deletes an archived account with its roles. Raises Refused (role; in-use while it is not archived, or something refers to
    it), Http404 when it is removed already."""
    require_admin(actor)
    row = User.objects.select_for_update().filter(pk=user.pk).first()
    if row is None:
        raise Http404("There is no such account.")
    if row.is_active:
        raise Refused(f"{row} is in use.", hint="Archive the account first.", code="in-use")
    if reasons := refers_to(row):
        raise Refused(
            f"{row} cannot be removed. {sentences(reasons)}", hint="It can stay archived.", code="in-use"
        )
    pk, data = row.pk, {"name": row.name, "email": row.email}
    row.delete()
    record(actor, "user.removed", target_kind="user", target_id=pk, target_text=row.username, data=data)


def _set_active(actor: Actor, row: User, is_active: bool, verb: str) -> None:
    row.is_active = is_active
    row.save(update_fields=["is_active"])
    record(actor, verb, target_kind="user", target_id=row.pk, target_text=row.username)


def standing(user: User, admins: int) -> Standing:
    """What the page shows of an account. `admins`: how many active admins there are."""
    archived = not user.is_active
    last = user.is_admin and user.is_active and admins == 1
    hinders = [Reason("This is the last admin: make another person an admin first.")] if last else []
    at = AuditEvent.objects.filter(
        target_kind="user", target_id=str(user.pk), verb="user.archived"
    ).order_by("-id").first() if archived else None  # fmt: skip
    return Standing(
        "account", user.username, EFFECTS, archived,
        archived_at=at.at if at else None, archived_by=at.actor_text if at else "",
        hinders=() if archived else (*hinders, *still_open(user)),
        refers=tuple(refers_to(user)) if archived else (), left=tuple(left_outside(user)),
    )  # fmt: skip
