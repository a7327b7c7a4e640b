"""Groups a list by days. A day begins and ends in UTC, as in every time that the database keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.utils import timezone


@dataclass(frozen=True)
class Day:
    """One day: its name on the page, and its entries."""

    name: str
    entries: list[Any]


def day_name(day: date, today: date) -> str:
    """`Today`, `Yesterday` or `Thursday, 9 July`; with the year when it is not the current one."""
    if (today - day).days in (0, 1):
        return ("Today", "Yesterday")[(today - day).days]
    return f"{day:%A, %-d %B}" if day.year == today.year else f"{day:%A, %-d %B %Y}"


def by_day(entries: Iterable[Any], moment: Callable[[Any], datetime]) -> list[Day]:
    """The entries grouped by day, in the given order. `moment` returns an entry's time."""
    days: dict[date, list[Any]] = {}
    for entry in entries:
        days.setdefault(moment(entry).astimezone(UTC).date(), []).append(entry)
    today = timezone.now().astimezone(UTC).date()
    return [Day(day_name(day, today), found) for day, found in days.items()]
