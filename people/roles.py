"""The roles that people hold. Roles belong to a higher floor, which registers a function that finds them
(`AppConfig.ready`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from people.models import User


@dataclass(frozen=True)
class HeldRole:
    """One role of one person. A role of greater `rank` allows more.

    `url`: the page of the project or environment; `where_given`: the page on which roles are granted and revoked.
    """

    user_id: int
    role: str
    rank: int
    place: str
    part: str
    url: str
    where_given: str


# Finds the roles of people, given by pk, in the order in which a page shows them.
Finder = Callable[[Sequence[int]], Iterable[HeldRole]]
_finders: list[Finder] = []


def register(finder: Finder) -> None:
    """Registers `finder`. Registering it again has no effect."""
    if finder not in _finders:
        _finders.append(finder)


def of(user: User) -> list[HeldRole]:
    """The roles of one person."""
    return _found([user.pk])


def with_roles(people: Iterable[User]) -> list[tuple[User, str]]:
    """Each person with their roles in words, the strongest first: “maintainer of 2, deployer of 1”. One query for all."""
    rows = list(people)
    counted: dict[int, Counter[str]] = {}
    for held in sorted(_found([row.pk for row in rows]), key=lambda held: -held.rank):
        counted.setdefault(held.user_id, Counter())[held.role] += 1
    return [(row, _in_words(counted.get(row.pk, Counter()))) for row in rows]


def _found(users: Sequence[int]) -> list[HeldRole]:
    return [held for find in _finders for held in find(users)]


def _in_words(counted: Counter[str]) -> str:
    return ", ".join(f"{role.lower()} of {number}" for role, number in counted.items())
