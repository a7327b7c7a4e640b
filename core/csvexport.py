"""Long tables as CSV. Rows are sent while they are read, so that an export of a million rows starts at once and needs
little memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from core.keyset import Narrow, as_they_are
from core.storable import visible_text
from core.streamed import StreamedText

CHUNK = 500
# A spreadsheet may run a cell that begins with one of these as a formula (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(value: object) -> str:
    """The value as text for a cell. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    text = visible_text(str(value).replace("\x00", ""))
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def by_key(rows: QuerySet, key: str, size: int = CHUNK, narrow: Narrow = as_they_are) -> Iterator[Any]:
    """Yields all rows, the greatest key first. It reads `size` rows at a time, so that no cursor or transaction stays open
    during a slow download."""
    last = None
    while True:
        older = rows if last is None else rows.filter(**{f"{key}__lt": last})
        chunk = list(narrow(older, True, size).order_by(f"-{key}")[:size])
        yield from chunk
        if len(chunk) < size:
            return
        last = getattr(chunk[-1], key)


class _Line:
    """A file for csv.writer whose `write` returns the line."""

    def write(self, text: str) -> str:
        return text


def lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yields header and rows as CSV text, up to CHUNK lines at a time."""
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
    """A download: the texts that `make()` yields, as a file of the name `filename`."""

    def __init__(self, make: Callable[[], Iterator[str]], *, filename: str) -> None:
        super().__init__(streaming_content=make(), content_type="text/csv; charset=utf-8")
        self["Content-Disposition"] = f'attachment; filename="{filename}"'
        self["Cache-Control"] = "no-store"
