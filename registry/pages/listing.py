"""The credentials of the page: of each cluster the first few, those with troubles first; of one chosen cluster page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.http import QueryDict

from projects.access import roles_by_environment
from projects.models import Environment, Role
from registry.models import Credential, State
from registry.pages.looks import Looks, looks
from registry.pages.strips import Strip, strips
from registry.pages.totals import troubled

FEW, PAGE = 12, 50
_NO_NAME = re.compile(r"[^a-z0-9-]")


@dataclass(frozen=True)
class Asked:
    """What the address asks for. `page` counts from 0, and only of one chosen cluster."""

    cluster: str = ""
    text: str = ""
    attention: bool = False
    page: int = 0

    @classmethod
    def of(cls, parameters: QueryDict) -> Asked:
        """From the address; what makes no sense is as if it were not there."""
        number = parameters.get("page", "")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0
        cluster = _NO_NAME.sub("", parameters.get("cluster", ""))
        text = _NO_NAME.sub("", parameters.get("q", "").lower())[:63]
        return cls(cluster, text, parameters.get("show") == "attention", page if cluster else 0)


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    row: Credential
    looks: Looks
    strip: Strip
    environments: tuple[Environment, ...]
    may_refresh: bool

    @property
    def anchor(self) -> str:
        """The id of its row in the page."""
        return f"credential-{self.row.pk}"


def matching(credentials: QuerySet[Credential], asked: Asked, now: datetime) -> QuerySet[Credential]:
    """Those that the filters of the address leave."""
    found = credentials.filter(cluster__slug=asked.cluster) if asked.cluster else credentials
    found = found.filter(namespace__icontains=asked.text) if asked.text else found
    return found.filter(troubled(now)) if asked.attention else found


def lines(user: Any, credentials: QuerySet[Credential], asked: Asked, now: datetime) -> list[Line]:
    """The rows to show, cluster by cluster; a fixed number of queries. Of a page one row more, which tells of a next page."""
    rank = Case(
        When(troubled(now), then=Value(0)), When(state=State.REFRESHING, then=Value(1)), default=Value(2),
        output_field=IntegerField(),
    )  # fmt: skip
    order = ("rank", "namespace", "secret_name")
    found = matching(credentials, asked, now).annotate(rank=rank)
    if asked.cluster:
        start = asked.page * PAGE
        rows = list(found.order_by(*order)[start : start + PAGE + 1])
    else:
        nth = Window(RowNumber(), partition_by=[F("cluster_id")], order_by=[F(name) for name in order])
        first = found.annotate(nth=nth).filter(nth__lte=FEW)
        rows = list(first.order_by("cluster__name", "cluster_id", *order))
    return _lines(user, rows, now)


def _lines(user: Any, rows: Sequence[Credential], now: datetime) -> list[Line]:
    drawn = strips([row.pk for row in rows], now)
    here = environments_at(user, rows)
    roles = roles_by_environment(user, [one for found in here.values() for one in found], elsewhere=False)
    return [
        Line(row, looks(row, now), drawn[row.pk], found, user.is_admin or may_refresh(found, roles))
        for row in rows
        for found in [here.get((row.cluster_id, row.namespace), ())]
    ]


def may_refresh(here: Sequence[Environment], roles: Mapping[int, Role | None]) -> bool:
    """Whether a person with these roles may renew the credential of a place: a deployer of an environment there."""
    held = (roles.get(one.pk) for one in here)
    return any(role is not None and role.rank >= Role.DEPLOYER.rank for role in held)


def environments_at(user: Any, rows: Sequence[Credential]) -> dict[tuple[int, str], tuple[Environment, ...]]:
    """The environments that the person sees, by the place of these credentials; one query."""
    if not rows:
        return {}
    own = Q() if user.is_admin else Q(project__memberships__user=user)
    found = (
        Environment.objects.filter(
            own, cluster__in={row.cluster_id for row in rows}, namespace__in={row.namespace for row in rows}
        )
        .select_related("project")
        .defer("project__credential")
        .order_by("project__name", "order", "pk")
        .distinct()
    )
    by_place: dict[tuple[int, str], tuple[Environment, ...]] = {}
    for one in found:
        key = (one.cluster_id, one.namespace)
        by_place[key] = (*by_place.get(key, ()), one)
    return by_place
