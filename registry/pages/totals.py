"""How many namespaces can pull, by cluster and in all: the head of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from registry.ending import wakes_in_time
from registry.models import Credential, State

NOT_OURS = (State.MISSING, State.FOREIGN)


@dataclass(frozen=True)
class Total:
    """The namespaces of one cluster. `usable`: pods can pull there now; `stops`: of those, the ones whose credential is not
    renewed, so that pulls stop at `stops_at` at the earliest; `foreign`: others keep their Secret; `credentials`: the Secrets;
    `bad`: those of them that need attention."""

    cluster: int
    namespaces: int
    usable: int
    stops: int
    stops_at: datetime | None
    foreign: int
    credentials: int
    bad: int


def troubled(now: datetime) -> Q:
    """The credentials that need a person's attention."""
    absent = Q(state=State.MISSING, failing_since=None) & ~Q(last_error="")
    trouble = Q(state__in=(State.ENDED, State.MISSING, State.FAILING, State.FOREIGN, State.ENDS_SOON))
    return (
        trouble | Q(expires_at__lte=now) | Q(state=State.PAUSED) & Q(failing_since__isnull=False)
    ) & ~absent


def totals(credentials: QuerySet[Credential], now: datetime) -> list[Total]:
    """The totals of the clusters, in the order of their names; one query."""
    usable = Q(expires_at__gt=now) & ~Q(state__in=NOT_OURS)
    paused = Q(state=State.PAUSED) & ~wakes_in_time(now)
    stopping = usable & (~Q(last_error="") | paused | Q(state=State.ENDS_SOON))

    def spaces(which: Q) -> Count:
        return Count("namespace", filter=which, distinct=True)

    rows = (
        credentials.order_by("cluster__name", "cluster_id")
        .values("cluster_id", "cluster__name")
        .annotate(
            namespaces=Count("namespace", distinct=True), usable=spaces(usable), stops=spaces(stopping),
            stops_at=Min("expires_at", filter=stopping), foreign=spaces(Q(state=State.FOREIGN)),
            credentials=Count("pk"), bad=Count("pk", filter=troubled(now)),
        )
    )  # fmt: skip
    return [
        Total(
            row["cluster_id"],
            row["namespaces"],
            row["usable"],
            row["stops"],
            row["stops_at"],
            row["foreign"],
            row["credentials"],
            row["bad"],
        )
        for row in rows
    ]


def added(parts: Sequence[Total]) -> Total:
    """All clusters together."""
    ends = [part.stops_at for part in parts if part.stops_at is not None]
    return Total(
        0, sum(part.namespaces for part in parts), sum(part.usable for part in parts), sum(part.stops for part in parts),
        min(ends, default=None), sum(part.foreign for part in parts), sum(part.credentials for part in parts),
        sum(part.bad for part in parts),
    )  # fmt: skip
