"""What pages of accounts show of the floor above them: roles in projects, clusters, registries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import template
from django.db.models import QuerySet

from people.models import User
from projects.models import Cluster, Membership, Project, Registry, Role

register = template.Library()


@dataclass(frozen=True)
class Infrastructure:
    """How much there is, and the clusters that did not answer when last asked."""

    people: int
    clusters: int
    silent: tuple[str, ...]
    registries: int
    projects: int


@register.simple_tag
def infrastructure() -> Infrastructure:
    """`{% infrastructure as there %}`: numbers for the admin's first page."""
    clusters = list(Cluster.objects.values_list("name", "last_error"))
    return Infrastructure(
        people=User.objects.filter(is_active=True).count(),
        clusters=len(clusters),
        silent=tuple(name for name, error in clusters if error),
        registries=Registry.objects.count(),
        projects=Project.objects.count(),
    )


@register.simple_tag
def with_roles(people: Iterable[User]) -> list[tuple[User, str]]:
    """`{% with_roles people as rows %}`: each person with the roles held, in words; one query for all."""
    held: dict[int, Counter[str]] = {}
    for user, role in Membership.objects.values_list("user_id", "role"):
        held.setdefault(user, Counter())[role] += 1
    return [(person, in_words(held.get(person.pk, Counter()))) for person in people]


def in_words(held: Counter[str]) -> str:
    """“maintainer of 2, deployer of 1”, the strongest first."""
    return ", ".join(f"{role.label.lower()} of {held[role]}" for role in reversed(Role) if held[role])


@register.simple_tag
def roles_of(person: Any) -> QuerySet[Membership]:
    """`{% roles_of person as roles %}`: the roles of one person, with project and environment."""
    rows = Membership.objects.filter(user=person).select_related("project", "environment")
    return rows.order_by("project__name", "environment__order")
