"""Filters of lists by date. A day begins and ends in UTC, as in every time that the database keeps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet

from core import keyset

SINCE, UNTIL = "since", "until"
FIRST, LAST = date(1970, 1, 1), date(9000, 1, 1)  # the days beyond have no neighbours to compute with


def start_of(day: date) -> datetime:
    """The first moment of a day."""
    return datetime.combine(day, time.min, UTC)


def within(rows: QuerySet[Any], name: str, day: date, *, key: str, moment: str) -> QuerySet[Any]:
    """The rows since a day (`name`: SINCE) or until a day (UNTIL), that day included. `key`, `moment`: as in
    keyset.between. A day before FIRST or after LAST counts as that one."""
    day = min(max(day, FIRST), LAST)
    since, until = (start_of(day), None) if name == SINCE else (None, start_of(day + timedelta(days=1)))
    return keyset.between(rows, key=key, moment=moment, since=since, until=until)


def as_dates(form: forms.Form) -> None:
    """Gives the fields SINCE and UNTIL of a filter's form the browser's date picker."""
    for name in (SINCE, UNTIL):
        form.fields[name].widget = forms.DateInput(attrs={"type": "date"})
