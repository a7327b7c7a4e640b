"""Lists that go through time, parted by days. Days are those of UTC, as every time the database keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.utils import timezone


@dataclass(frozen=True)
class Day:
    """The entries of one day, under its name."""

    name: str
    entries: list[Any]


def day_name(day: date, today: date) -> str:
    """`Today`, `Yesterday`, `Thursday, 9 July`; with the year when it is another one."""
    if (today - day).days in (0, 1):
        return ("Today", "Yesterday")[(today - day).days]
    return f"{day:%A, %-d %B}" if day.year == today.year else f"{day:%A, %-d %B %Y}"


def by_day(entries: Iterable[Any], moment: Callable[[Any], datetime]) -> list[Day]:
    """Entries grouped by the day of their `moment`, in the given order."""
    days: dict[date, list[Any]] = {}
    for entry in entries:
        days.setdefault(moment(entry).astimezone(UTC).date(), []).append(entry)
    today = timezone.now().astimezone(UTC).date()
    return [Day(day_name(day, today), found) for day, found in days.items()]
