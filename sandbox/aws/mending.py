"""Patches moto's classes: wraps or replaces a method for the whole process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Method = Callable[..., Any]


def mend(owner: type, name: str, wrap: Callable[[Method], Method]) -> None:
    """Replaces `owner.name` by `wrap(owner.name)`."""
    setattr(owner, name, wrap(getattr(owner, name)))


def replace(owner: type, name: str, value: object) -> None:
    """Replaces, or adds, `owner.name`."""
    setattr(owner, name, value)
