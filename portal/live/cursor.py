"""Reads rows that were added to a table since the last look.

Transactions commit in another order than their rows got their ids, so each look goes back to the ids of OVERLAP_SECONDS ago
and leaves out what it has seen.
"""

from __future__ import annotations

import time
from collections import deque

from django.db.models import Max, QuerySet

OVERLAP_SECONDS = 10.0


class Cursor:
    """A place in a table. `rows`: the rows that count; `field`: the column with the slug of their project."""

    def __init__(self, rows: QuerySet, field: str) -> None:
        self.rows, self.field = rows, field
        self.floor: int | None = None
        self._seen: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    def fresh(self) -> set[str]:
        """The projects of rows that were not seen before; none at the first look. Raises errors of the database."""
        if self.floor is None:
            self.floor = self.rows.order_by().aggregate(last=Max("pk"))["last"] or 0
            return set()
        found = dict(self.rows.filter(pk__gt=self.floor).order_by().values_list("pk", self.field))
        new = {project for pk, project in found.items() if pk not in self._seen}
        self._seen |= found.keys()
        self._move(max(found, default=self.floor))
        return new

    def _move(self, highest: int) -> None:
        now = time.monotonic()
        self._marks.append((now, highest))
        floor = self.floor
        while self._marks and self._marks[0][0] < now - OVERLAP_SECONDS:
            floor = self._marks.popleft()[1]
        if floor != self.floor:
            self.floor = floor
            self._seen = {pk for pk in self._seen if pk > (floor or 0)}
