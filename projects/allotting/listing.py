"""Allotments as rows of a page: the thing, its project, other projects with the same, and the number of uses."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from projects.allotting.rules import fits
from projects.allotting.uses import uses
from projects.allotting.wishes import Wish
from projects.models import Allotment


@dataclass(frozen=True)
class Row:
    """One allotment. `shared_with`: names of projects with the same one; `uses`: settings that it covers, None for objects,
    which only a deploy knows."""

    allotment: Allotment
    shared_with: tuple[str, ...]
    uses: int | None


def shown(project: str = "") -> list[Row]:
    """The rows, by project and kind; of one project when its slug is given. The number of queries does not grow."""
    related = Allotment.objects.select_related("project", "environment", "cluster", "registry")
    everything = list(related.order_by("project__name", "kind", "pattern"))
    same: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for row in everything:
        same[_thing(row)].append(row.project.name)
    wishes: dict[int, list[Wish]] = defaultdict(list)
    for use in uses():
        wishes[use.project].append(use.wish)
    return [
        Row(
            row,
            tuple(name for name in same[_thing(row)] if name != row.project.name),
            _number(row, wishes[row.project_id]),
        )
        for row in everything
        if project in ("", row.project.slug)
    ]


def _thing(row: Allotment) -> tuple[object, ...]:
    return row.kind, row.cluster_id, row.registry_id, row.environment_id, row.pattern


def _number(row: Allotment, wishes: list[Wish]) -> int | None:
    if row.environment_id is not None:
        return None
    return sum(fits(row, wish) for wish in wishes)
