"""Failures of the same thing, one after the other: the same revision in the same environment. Slack tells the first one in its
own message, and all further tries in a second one, which is updated, until it is well or another release runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.models import Deploy
from runs.models import OPEN, State

WITHIN = timedelta(hours=6)  # between the end of a failure and the next try
MOST = 400  # deploys that are looked at
BAD = (State.FAILED, State.ERRORED, State.TIMED_OUT, State.ABANDONED)


@dataclass(frozen=True)
class Ended:
    """What counts of a deploy that has ended. `follows`: it is a rollback that followed another deploy's end."""

    number: int
    kind: str
    revision: str
    follows: bool
    state: str
    ended_at: datetime


@dataclass(frozen=True)
class Streak:
    """The failures before a deploy. `count` of them, the first and the last one's number and end."""

    count: int
    first: Ended
    last: Ended


def failures_before(deploy: Deploy) -> Streak | None:
    """How often the same thing has failed right before this deploy; None where it did not, or long ago."""
    rows = Deploy.objects.filter(environment=deploy.environment_id, number__lt=deploy.number)
    rows = rows.exclude(state__in=OPEN).exclude(ended_at=None).order_by("-number")
    columns = rows.values_list("number", "kind", "revision", "undoes_id", "state", "ended_at")[:MOST]
    ended = [
        Ended(number, kind, revision, undoes is not None, state, at)
        for number, kind, revision, undoes, state, at in columns
        if at is not None
    ]
    began = deploy.started_at or deploy.created_at
    return streak(deploy.kind, deploy.revision, deploy.undoes_id is not None, began, ended)


def streak(kind: str, revision: str, follows: bool, began: datetime, ended: Iterable[Ended]) -> Streak | None:
    """Counts among deploys that ended (the newest first). Rollbacks that follow failures come between them and end nothing; nor
    does another revision that failed as well, or a try that was cancelled. Any other success does."""
    found: list[Ended] = []
    for one in ended:
        if one.follows != follows:
            continue
        if one.state == State.SUCCEEDED:
            break
        if (one.kind, one.revision) != (kind, revision) or one.state not in BAD:
            continue
        if began - one.ended_at > WITHIN:
            break
        found.append(one)
        began = one.ended_at
    return Streak(len(found), found[-1], found[0]) if found else None
