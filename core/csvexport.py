"""Long tables as CSV, sent while they are read: a million rows need no memory and begin at once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.keyset import Narrow, as_they_are
from core.streamed import StreamedText

CHUNK = 500
# A spreadsheet takes a cell that begins so for a formula and may run it (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(value: object) -> str:
    """The value as a cell: texts that a spreadsheet would take for a formula get an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def by_key(rows: QuerySet, key: str, size: int = CHUNK, narrow: Narrow = as_they_are) -> Iterator[Any]:
    """All rows, the greatest key first, read in chunks: no cursor or transaction stays open while somebody downloads."""
    last = None
    while True:
        older = rows if last is None else rows.filter(**{f"{key}__lt": last})
        chunk = list(narrow(older, True, size).order_by(f"-{key}")[:size])
        yield from chunk
        if len(chunk) < size:
            return
        last = getattr(chunk[-1], key)


class _Line:
    """What csv.writer writes to: it hands the line back."""

    def write(self, text: str) -> str:
        return text


def lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Header and rows as CSV, some hundred lines at a time."""
    writer = csv.writer(_Line())
    waiting = [str(writer.writerow(header))]
    for row in rows:
        waiting.append(str(writer.writerow([safe_cell(value) for value in row])))
        if len(waiting) >= CHUNK:
            yield "".join(waiting)
            waiting = []
    if waiting:
        yield "".join(waiting)


class CsvResponse(StreamedText):
    """Sends what `make()` yields as a file."""

    def __init__(self, make: Callable[[], Iterator[str]], *, filename: str) -> None:
        super().__init__(streaming_content=make(), content_type="text/csv; charset=utf-8")
        self["Content-Disposition"] = f'attachment; filename="{filename}"'
        self["Cache-Control"] = "no-store"
