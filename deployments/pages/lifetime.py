"""For how long a deploy's release ran, and what took its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from deployments.models import Deploy
from deployments.queries import light, succeeded
from runs.models import State
from ui.words import duration


@dataclass(frozen=True)
class Lifetime:
    """When the release of a deploy ran (`began`, `ended`; None where it never did as a whole), and the deploy `by` which it was
    replaced or undone."""

    by: Deploy
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def verb(self) -> str:
        """`undone` by a rollback, `replaced` by another deploy."""
        return "undone" if self.by.kind == Deploy.Kind.ROLLBACK else "replaced"

    @property
    def lasted(self) -> str:
        """`3 h`; empty where it did not run."""
        return duration((self.ended - self.began).total_seconds()) if self.began and self.ended else ""


def lifetime(deploy: Deploy) -> Lifetime | None:
    """What became of a deploy that has ended: the first later one that succeeded with another release; None while there is none.
    One query."""
    later = succeeded(deploy.environment_id).filter(number__gt=deploy.number)
    if deploy.state == State.SUCCEEDED and deploy.release_id:
        later = later.exclude(release=deploy.release_id)
    by = light(later).order_by("number").first()
    if by is None:
        return None
    if deploy.state != State.SUCCEEDED:
        return Lifetime(by)
    return Lifetime(by, deploy.ended_at, by.ended_at)
