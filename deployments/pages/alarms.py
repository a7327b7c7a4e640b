"""The alarms of an environment: workloads that failed between deploys, as people were told or are about to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import QueryDict

from clusters.models import Trouble
from core import keyset
from deployments.models import Deploy
from engine.types import ObjectRef
from projects.models import Environment

OPEN_SHOWN = 10  # on the environment's page
OVER_SHOWN = 3


@dataclass(frozen=True)
class Alarm:
    """One trouble of a workload, for a line. `deploy`: the number of the deploy after which it came, if people were told so;
    `reference`: the part of an address that leads to its line."""

    trouble: Trouble
    kind: str
    deploy: int | None

    @property
    def is_over(self) -> bool:
        """Whether the workload has recovered."""
        return self.trouble.ended_at is not None

    @property
    def lasted(self) -> float | None:
        """Seconds from its beginning to the recovery; None while it lasts."""
        ended = self.trouble.ended_at
        return (ended - self.trouble.began_at).total_seconds() if ended else None

    @property
    def line(self) -> str:
        """The id of its line on the page."""
        return f"alarm-{self.trouble.pk}"


def of(environment: Environment) -> QuerySet[Trouble]:
    """The troubles that count: those that were told, and those that last. What came and went untold is no alarm."""
    return Trouble.objects.filter(Q(told_at__isnull=False) | Q(ended_at=None), environment=environment)


def page(environment: Environment, parameters: QueryDict) -> keyset.Page:
    """The requested page of the alarms, newest first."""
    found = keyset.page(of(environment), parameters, key="id")
    return keyset.Page(alarms(found.rows), found.newer, found.older)


def recent(environment: Environment) -> list[Alarm]:
    """The open alarms, the oldest first, then the last ones that are over."""
    rows = of(environment)
    lasting = list(rows.filter(ended_at=None).order_by("id")[:OPEN_SHOWN])
    return alarms([*lasting, *rows.exclude(ended_at=None).order_by("-id")[:OVER_SHOWN]])


def alarms(rows: Sequence[Trouble]) -> list[Alarm]:
    """The rows as lines, with one query for the deploys that they name."""
    runs = {row.run_id for row in rows if row.run_id}
    found = Deploy.objects.filter(run_id__in=runs).order_by().values_list("run_id", "number") if runs else ()
    numbers: dict[UUID | None, int] = dict(found)
    return [Alarm(row, ObjectRef.parse(row.ref).kind, numbers.get(row.run_id)) for row in rows]
