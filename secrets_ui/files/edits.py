"""What can be done to a key of a secrets file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import SlipwayError


@dataclass(frozen=True)
class Set:
    """Give an existing key this value."""

    value: bytes = field(repr=False)


@dataclass(frozen=True)
class Add:
    """Add the key with this value."""

    value: bytes = field(repr=False)


@dataclass(frozen=True)
class Remove:
    """Take the key out of the file."""


@dataclass(frozen=True)
class Rename:
    """Give the key another name, and with `value` also another value."""

    to: str
    value: bytes | None = field(default=None, repr=False)


Edit = Set | Add | Remove | Rename
Place = tuple[int, str]  # index of the Secret, key
Edits = Mapping[Place, Edit]


class EditError(SlipwayError):
    """Some edits cannot be made, and none was. `problems`: by place, in words that hold no value."""

    code = "not-editable"

    def __init__(self, problems: Mapping[Place, str]) -> None:
        named = [f"{key}: {problem}" for (_, key), problem in problems.items()]
        more = f" (and {len(named) - 1} more)" if len(named) > 1 else ""
        hint = "Nothing was changed. What cannot be edited here can be changed in the file as text."
        super().__init__(f"{named[0]}{more}", hint=hint)
        self.problems = dict(problems)
