"""The order of the deploys that wait in one environment.

A rollback that undoes another deploy (requested with a cancel, or started automatically after a failure) goes first, to
restore a working release soon. All others go in the order of their numbers.
"""

from __future__ import annotations

from django.db.models import Min, Q, QuerySet
from django.db.models.functions import Coalesce

from deployments.models import Deploy
from runs.models import ACTIVE, State


def place(deploy: Deploy) -> tuple[bool, bool, int]:
    """Sort key for the open deploys of an environment: the active one first, then the waiting ones in their order."""
    return deploy.state not in ACTIVE, deploy.undoes_id is None, deploy.number


def waiting_before(deploy: Deploy) -> QuerySet[Deploy]:
    """The waiting deploys of the same environment that go before `deploy`."""
    undoing = Q(undoes__isnull=False)
    earlier = Q(number__lt=deploy.number)
    before = (undoing & earlier) if deploy.undoes_id else (undoing | earlier)
    waiting = Deploy.objects.filter(environment_id=deploy.environment_id, state=State.QUEUED)
    return waiting.filter(before).exclude(pk=deploy.pk)


def first_numbers(waiting: QuerySet[Deploy]) -> QuerySet:
    """Subquery: the number of the first of the given waiting deploys in each environment."""
    undoing = Min("number", filter=Q(undoes__isnull=False))
    return waiting.values("environment").annotate(first=Coalesce(undoing, Min("number"))).values("first")


def next_in_line(environment_id: int) -> Deploy | None:
    """The deploy that starts next in the environment; None when none waits."""
    waiting = Deploy.objects.filter(environment_id=environment_id, state=State.QUEUED)
    return Deploy.objects.filter(number__in=first_numbers(waiting)).first()


def may_start(deploy: Deploy) -> bool:
    """Whether no deploy is active in the environment and no waiting one goes before `deploy`."""
    others = Deploy.objects.filter(environment_id=deploy.environment_id).exclude(pk=deploy.pk)
    return not others.filter(state__in=ACTIVE).exists() and not waiting_before(deploy).exists()


def could_start() -> QuerySet[Deploy]:
    """The first waiting deploy of each environment without an active one."""
    active = Deploy.objects.filter(state__in=ACTIVE)
    queued = Deploy.objects.filter(state=State.QUEUED).exclude(environment__in=active.values("environment"))
    return Deploy.objects.filter(number__in=first_numbers(queued))
