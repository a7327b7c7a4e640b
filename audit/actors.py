"""Actors of audit events: a person, a token, the portal itself, the scheduler or a webhook. Events keep them as text,
without a foreign key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PERSON, TOKEN, SYSTEM, WEBHOOK = "person", "token", "system", "webhook"


@dataclass(frozen=True)
class Actor:
    """Kind, id and name of an actor. `user`: the signed-in person behind it, or None."""

    kind: str
    id: str
    text: str
    user: Any = None


SYSTEM_ACTOR = Actor(kind=SYSTEM, id="", text="system")


def person(user: Any) -> Actor:
    """The actor for a user of the people app."""
    return Actor(kind=PERSON, id=str(user.pk), text=user.get_username(), user=user)
