"""Pages of a long list by key, not by offset: `?before=<key>` leads to older rows, `?after=<key>` to newer rows.

The address of a page stays valid while rows are added, and the thousandth page costs as much as the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import QueryDict

PAGE_SIZE = 25
# Keys grow with time, but the times come from machines whose clocks may differ.
CLOCKS_DIFFER_BY = timedelta(hours=1)


# (rows, newest first?, how many) -> a smaller set that contains the page's rows. For lists that no single index sorts.
Narrow = Callable[[QuerySet, bool, int], QuerySet]


def as_they_are(rows: QuerySet, newest_first: bool, size: int) -> QuerySet:
    """Narrows nothing: one index serves the whole list."""
    return rows


@dataclass(frozen=True)
class Page:
    """Rows, newest first. `newer`, `older`: addresses of the pages beside it (a query string), or empty."""

    rows: list[Any]
    newer: str
    older: str


def page(
    rows: QuerySet, parameters: QueryDict, *, key: str, size: int = PAGE_SIZE, narrow: Narrow = as_they_are
) -> Page:
    """The page that the query string asks for. `key`: a unique, indexed field that grows with time."""
    before, after = _asked_for(parameters)
    if after is not None:
        newer = narrow(rows.filter(**{f"{key}__gt": after}), False, size + 1)
        found = list(newer.order_by(key)[: size + 1])
        more_newer, more_older = len(found) > size, True
        found = found[:size][::-1]
    else:
        older = rows.filter(**{f"{key}__lt": before}) if before is not None else rows
        found = list(narrow(older, True, size + 1).order_by(f"-{key}")[: size + 1])
        more_newer, more_older = before is not None, len(found) > size
        found = found[:size]
    if not found:
        return Page([], "", "")
    return Page(
        found,
        _address(parameters, "after", getattr(found[0], key)) if more_newer else "",
        _address(parameters, "before", getattr(found[-1], key)) if more_older else "",
    )


def within(groups: QuerySet, field: str, key: str) -> Narrow:
    """Narrows lists of the rows of some groups, such as the deploys of some environments. `field`: the rows' reference to
    their group; it has an index together with `key`.

    Without it, a database sorts all rows of the groups to find the newest `size`. The `size`-th newest key of each group comes
    from an index; none of the newest `size` of all groups can be below the greatest of these keys.
    """

    def narrow(rows: QuerySet, newest_first: bool, size: int) -> QuerySet:
        own = rows.filter(**{field: OuterRef("pk")}).order_by(f"-{key}" if newest_first else key)
        each = groups.order_by().annotate(bound=Subquery(own.values(key)[size - 1 : size]))
        bounds = [bound for bound in each.values_list("bound", flat=True) if bound is not None]
        if not bounds:
            return rows
        return rows.filter(**{f"{key}__gte": max(bounds)} if newest_first else {f"{key}__lte": min(bounds)})

    return narrow


def _asked_for(parameters: QueryDict) -> tuple[int | None, int | None]:
    """The keys of `before` and `after`. When both are given, `before` counts."""
    before, after = _number(parameters.get("before")), _number(parameters.get("after"))
    return before, after if before is None else None


def between(
    rows: QuerySet, *, key: str, moment: str, since: datetime | None, until: datetime | None
) -> QuerySet:
    """Rows with `since <= moment < until` (each may be None), found by their keys.

    The dates are turned into keys first (two look-ups in the index of `moment`), so that a page of an old month neither
    sorts that month nor walks through everything newer.
    """
    everything = rows.model._default_manager.order_by()
    condition = Q()
    if since is not None:
        condition &= Q(**{f"{moment}__gte": since})
        first = _key_at(everything, key, moment, f"{moment}__gte", since - CLOCKS_DIFFER_BY, newest=False)
        condition &= Q(pk__in=[]) if first is None else Q(**{f"{key}__gte": first})
    if until is not None:
        condition &= Q(**{f"{moment}__lt": until})
        last = _key_at(everything, key, moment, f"{moment}__lt", until + CLOCKS_DIFFER_BY, newest=True)
        condition &= Q(pk__in=[]) if last is None else Q(**{f"{key}__lte": last})
    return rows.filter(condition)


def _key_at(rows: QuerySet, key: str, moment: str, lookup: str, at: datetime, *, newest: bool) -> int | None:
    order = (f"-{moment}", f"-{key}") if newest else (moment, key)  # of equal times the outermost key
    return rows.filter(**{lookup: at}).order_by(*order).values_list(key, flat=True).first()


def _number(text: str | None) -> int | None:
    """A key from the address; None, which means the first page, for a text that is not a key."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _address(parameters: QueryDict, name: str, value: int) -> str:
    """The query string with the same filters and another page."""
    copy = parameters.copy()
    for old in ("before", "after"):
        copy.pop(old, None)
    copy[name] = str(value)
    return f"?{copy.urlencode()}"
