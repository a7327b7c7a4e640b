"""The credentials of the page: of each cluster the first few, those with troubles first; of one chosen cluster page by page.

Where there are many clusters, those in which all is well are folded to their counts, so that the page stays small."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.http import QueryDict

from projects.access import roles_by_environment
from projects.models import Environment, Role
from registry.models import Credential, State
from registry.pages.looks import Looks, looks
from registry.pages.strips import Strip, strips
from registry.pages.totals import troubled

FEW, PAGE = 12, 40
ROOM = 36  # rows of all clusters together
MOST_TOLD = 100  # credentials whose troubles are told in cards
_TROUBLED, _BUSY, _WELL = 0, 1, 2  # ranks
_NO_NAME = re.compile(r"[^a-z0-9-]")


@dataclass(frozen=True)
class Asked:
    """What the address asks for. `page` counts from 0, and only of one chosen cluster."""

    cluster: str = ""
    text: str = ""
    attention: bool = False
    page: int = 0

    @property
    def is_filtered(self) -> bool:
        """Whether only some of a cluster's credentials are asked for."""
        return bool(self.text) or self.attention

    def within(self, cluster: str) -> str:
        """The query of the address with the same filters in one cluster."""
        given = {"cluster": cluster, "q": self.text, "show": "attention" if self.attention else ""}
        return urlencode({name: value for name, value in given.items() if value})

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
    strip: Strip | None
    environments: tuple[Environment, ...]
    may_refresh: bool

    @property
    def anchor(self) -> str:
        """The id of its row in the page."""
        return f"credential-{self.row.pk}"


@dataclass(frozen=True)
class Listed:
    """The rows that show; `matches`: how many there would be in each cluster, by its id; `troubled`: the credentials with a
    trouble, also those that do not show, as lines without a strip."""

    lines: tuple[Line, ...]
    matches: Mapping[int, int]
    troubled: tuple[Line, ...]


def fitting(clusters: int) -> int:
    """How many rows of each of so many clusters show."""
    return min(FEW, max(1, ROOM // max(1, clusters)))


def matching(credentials: QuerySet[Credential], asked: Asked, now: datetime) -> QuerySet[Any]:
    """Those that the filters of the address leave, with their rank: troubles before what is being renewed before the rest."""
    found = credentials.filter(cluster__slug=asked.cluster) if asked.cluster else credentials
    found = found.filter(namespace__icontains=asked.text) if asked.text else found
    rank = Case(
        When(troubled(now), then=Value(_TROUBLED)), When(state=State.REFRESHING, then=Value(_BUSY)),
        default=Value(_WELL), output_field=IntegerField(),
    )  # fmt: skip
    found = found.annotate(rank=rank)
    return found.filter(rank=_TROUBLED) if asked.attention else found


def listed(
    user: Any, credentials: QuerySet[Credential], asked: Asked, now: datetime, *, clusters: int
) -> Listed:
    """The rows to show, cluster by cluster; a fixed number of queries. Of a page one row more, which tells of a next page.
    `clusters`: how many there are to see."""
    found = matching(credentials, asked, now)
    rows = _page(found, asked) if asked.cluster else _first(found, asked, fitting(clusters))
    bad = list(found.filter(rank=_TROUBLED).order_by("namespace", "secret_name", "pk")[:MOST_TOLD])
    matches = {row.cluster_id: row.matches for row in rows if not asked.cluster}
    drawn = strips([row.pk for row in rows], now)
    here = environments_at(user, [*rows, *bad])
    roles = roles_by_environment(user, [one for found in here.values() for one in found], elsewhere=False)

    def line(row: Credential) -> Line:
        own = here.get((row.cluster_id, row.namespace), ())
        return Line(row, looks(row, now), drawn.get(row.pk), own, user.is_admin or may_refresh(own, roles))

    return Listed(tuple(map(line, rows)), matches, tuple(map(line, bad)))


_ORDER = ("rank", "namespace", "secret_name")


def _page(found: QuerySet[Any], asked: Asked) -> list[Any]:
    start = asked.page * PAGE
    return list(found.order_by(*_ORDER)[start : start + PAGE + 1])


def _first(found: QuerySet[Any], asked: Asked, few: int) -> list[Any]:
    """The first rows of each cluster; without filters and where not all find room, only those that are not simply well."""
    if few < FEW and not asked.is_filtered:
        found = found.exclude(rank=_WELL)
    own = [F("cluster_id")]
    nth = Window(RowNumber(), partition_by=own, order_by=[F(name) for name in _ORDER])
    first = found.annotate(nth=nth, matches=Window(Count("pk"), partition_by=own)).filter(nth__lte=few)
    return list(first.order_by("cluster__name", "cluster_id", *_ORDER))


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
        Environment.objects.current()
        .filter(
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
