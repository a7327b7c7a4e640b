"""Two versions of an object, compared by the paths of their values. Items of lists go by their names where they have any,
so that an item that moved is the same item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.types import Json

Path = tuple[str, ...]
DEEPEST = 40  # levels; what lies deeper is compared as a whole
_NAMES = ("name", "mountPath", "containerPort", "port", "host", "key")  # what names an item of a list


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


@dataclass(frozen=True)
class Leaf:
    """One value that differs. `before`, `after`: MISSING where it is not there."""

    path: Path
    before: Any
    after: Any


@dataclass(frozen=True)
class Differences:
    """What differs, in the order of the paths, and the paths of all parts that were there before (`had`) and are after
    (`has`)."""

    leaves: tuple[Leaf, ...]
    had: frozenset[Path]
    has: frozenset[Path]


def differences(before: Json, after: Json) -> Differences:
    """What differs between two versions of an object."""
    old, new = dict(_leaves(before, ())), dict(_leaves(after, ()))
    found = (
        Leaf(path, old.get(path, MISSING), new.get(path, MISSING))
        for path in sorted(old.keys() | new.keys())
        if not _same(old.get(path, MISSING), new.get(path, MISSING))
    )
    return Differences(tuple(found), _parts(old), _parts(new))


def _parts(paths: Iterable[Path]) -> frozenset[Path]:
    return frozenset(path[:length] for path in paths for length in range(1, len(path) + 1))


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    items = _items(value) if len(path) < DEEPEST else None
    if not items:
        yield path, value
        return
    for step, item in items:
        yield from _leaves(item, (*path, step))


def _items(value: Any) -> list[tuple[str, Any]] | None:
    """The members of a dictionary, or of a list whose items have names of their own; None for a value."""
    if isinstance(value, dict):
        return [(str(key), item) for key, item in value.items()]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    for field in _NAMES:
        names = [item.get(field) for item in value]
        if all(isinstance(name, (str, int)) for name in names) and len(set(map(str, names))) == len(names):
            return [(str(name), item) for name, item in zip(names, value, strict=True)]
    return None
