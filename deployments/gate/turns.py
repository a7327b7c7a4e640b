"""Whose turn it is among the deploys that wait in one environment.

What undoes another deploy (a rollback that somebody asked for with a cancel, or that follows a failure by itself) goes
first: it is what people want next. All others go in the order in which they were asked for.
"""

from __future__ import annotations

from django.db.models import Min, Q, QuerySet
from django.db.models.functions import Coalesce

from deployments.models import Deploy
from runs.models import ACTIVE, State


def place(deploy: Deploy) -> tuple[bool, bool, int]:
    """For sorting the open deploys of an environment: the one at work, then those that wait, in their order."""
    return deploy.state not in ACTIVE, deploy.undoes_id is None, deploy.number


def waiting_before(deploy: Deploy) -> QuerySet[Deploy]:
    """The deploys that wait in its environment and go before it."""
    undoing = Q(undoes__isnull=False)
    earlier = Q(number__lt=deploy.number)
    before = (undoing & earlier) if deploy.undoes_id else (undoing | earlier)
    waiting = Deploy.objects.filter(environment_id=deploy.environment_id, state=State.QUEUED)
    return waiting.filter(before).exclude(pk=deploy.pk)


def first_numbers(waiting: QuerySet[Deploy]) -> QuerySet:
    """Of the given deploys that wait, the number of the first in each environment."""
    undoing = Min("number", filter=Q(undoes__isnull=False))
    return waiting.values("environment").annotate(first=Coalesce(undoing, Min("number"))).values("first")


def next_in_line(environment_id: int) -> Deploy | None:
    """The deploy whose turn it is when nothing runs in the environment; None when nothing waits."""
    waiting = Deploy.objects.filter(environment_id=environment_id, state=State.QUEUED)
    return Deploy.objects.filter(number__in=first_numbers(waiting)).first()


def may_start(deploy: Deploy) -> bool:
    """Nothing runs in the environment and nothing that waits goes before."""
    others = Deploy.objects.filter(environment_id=deploy.environment_id).exclude(pk=deploy.pk)
    return not others.filter(state__in=ACTIVE).exists() and not waiting_before(deploy).exists()


def could_start() -> QuerySet[Deploy]:
    """The first in line of each environment where nothing runs."""
    active = Deploy.objects.filter(state__in=ACTIVE)
    queued = Deploy.objects.filter(state=State.QUEUED).exclude(environment__in=active.values("environment"))
    return Deploy.objects.filter(number__in=first_numbers(queued))
