"""Allotments as rows of a page: what, to whom, who else has the same, and how much uses it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from projects.allotting.rules import fits
from projects.allotting.wishes import Wish, of_place, of_project, of_repository, of_secret
from projects.models import Allotment, Environment, Image, Project, SecretsFile


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
    wishes = _wishes()
    return [
        Row(row, tuple(name for name in same[_thing(row)] if name != row.project.name), _uses(row, wishes))
        for row in everything
        if project in ("", row.project.slug)
    ]


def _thing(row: Allotment) -> tuple[object, ...]:
    return row.kind, row.cluster_id, row.registry_id, row.environment_id, row.pattern


def _uses(row: Allotment, wishes: dict[int, list[Wish]]) -> int | None:
    if row.environment_id is not None:
        return None
    return sum(fits(row, wish) for wish in wishes[row.project_id])


def _wishes() -> dict[int, list[Wish]]:
    """What the settings of every project name, in four queries."""
    found: dict[int, list[Wish]] = defaultdict(list)
    for one in Environment.objects.select_related("cluster"):
        found[one.project_id] += of_place(one.cluster, one.namespace)
    for file in SecretsFile.objects.select_related("environment"):
        found[file.environment.project_id] += of_secret(file.secret_id, file.role_arn)
    for image in Image.objects.select_related("registry"):
        found[image.project_id] += of_repository(image.registry, image.repository)
    for project in Project.objects.all():
        found[project.pk] += of_project(project)
    return found
