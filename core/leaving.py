"""What stands against archiving or removing a row, and what a removal leaves outside of the portal.

The services that archive and remove belong to the apps of the rows. Apps above them register functions here
(`AppConfig.ready`) that say what is still open, what refers to a row without a foreign key, and what the portal has made outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models

MOST_NAMES = 5


@dataclass(frozen=True)
class Reason:
    """Why a row cannot be archived or removed now, as a sentence. `url`: the page where that is changed, or empty."""

    text: str
    url: str = ""


@dataclass(frozen=True)
class Left:
    """Something outside that stays when the portal forgets it. `what`: a heading; `names`: each thing, as text; `note`: a
    sentence about them; `commands`: what deletes them by hand, to copy."""

    what: str
    names: tuple[str, ...]
    note: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """What the page of archiving shows of a row. `kind`: in a word; `effects`: what archiving does, in sentences; `hinders`: why
    it cannot be archived now, or restored where it is archived; `refers`: why it cannot be removed. `archived_at` may be unknown
    of something archived."""

    kind: str
    name: str
    effects: tuple[str, ...]
    is_archived: bool
    archived_at: datetime | None = None
    archived_by: str = ""
    hinders: tuple[Reason, ...] = ()
    refers: tuple[Reason, ...] = ()
    left: tuple[Left, ...] = ()


Finder = Callable[[models.Model], Iterable[Reason]]
LeftFinder = Callable[[models.Model], Iterable[Left]]
_open: list[Finder] = []
_refers: list[Finder] = []
_left: list[LeftFinder] = []


def register(
    *, is_open: Finder | None = None, refers: Finder | None = None, left: LeftFinder | None = None
) -> None:
    """Registers functions; each takes any row that can be archived, and yields nothing for kinds that it does not know.
    Registering one again has no effect. `is_open`: against archiving; `refers`: against removing."""
    if is_open is not None and is_open not in _open:
        _open.append(is_open)
    if refers is not None and refers not in _refers:
        _refers.append(refers)
    if left is not None and left not in _left:
        _left.append(left)


def still_open(row: models.Model) -> list[Reason]:
    """Why the row cannot be archived now."""
    return [reason for find in _open for reason in find(row)]


def left_outside(row: models.Model) -> list[Left]:
    """What stays outside when the row is archived or removed."""
    return [left for find in _left for left in find(row)]


def refers_to(row: models.Model) -> list[Reason]:
    """Why the row cannot be removed. A foreign key with CASCADE belongs to a part of the row, which goes with it; each other
    row that has it refers to the row."""
    counted: dict[type[models.Model], int] = {}
    for model, rows in _referring(type(row), models.Q(pk=row.pk)):
        counted[model] = counted.get(model, 0) + rows.count()
    found = [Reason(_counted(model, number)) for model, number in counted.items() if number]
    return [*found, *(reason for find in _refers for reason in find(row))]


def _counted(model: type[models.Model], number: int) -> str:
    name = str(model._meta.verbose_name)
    if number == 1:
        return f"1 {name} refers to it."
    ending = "es" if name.endswith(("sh", "y")) else "s"
    return f"{number} {name.removesuffix('y') + 'i' if name.endswith('y') else name}{ending} refer to it."


def _referring(
    model: type[models.Model], condition: models.Q, via: frozenset[type[models.Model]] = frozenset()
) -> Iterator[tuple[type[models.Model], models.QuerySet]]:
    """Each table with a foreign key that is not CASCADE to the rows that fit, or to their parts, and its rows."""
    for field in model._meta.get_fields(include_hidden=True):
        if not (field.auto_created and not field.concrete and (field.one_to_many or field.one_to_one)):
            continue
        theirs: Any = field.field  # type: ignore[union-attr]  # a reverse relation has it
        table = field.related_model
        rows = table._default_manager.filter(  # type: ignore[union-attr]
            **{f"{theirs.name}__in": model._default_manager.filter(condition).values("pk")}
        )
        if field.on_delete is models.CASCADE:  # type: ignore[union-attr]
            if table not in via:
                inner = models.Q(pk__in=rows.values("pk"))
                yield from _referring(table, inner, via | {model})  # type: ignore[arg-type]
        else:
            yield table, rows  # type: ignore[misc]


def sentences(reasons: Iterable[Reason]) -> str:
    """The reasons one after the other; of many the first ones and how many more there are."""
    texts = [reason.text for reason in reasons]
    more = len(texts) - MOST_NAMES
    return " ".join([*texts[:MOST_NAMES], *([f"And {more} more."] if more > 0 else [])])
