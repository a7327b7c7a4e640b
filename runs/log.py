"""Reading a run's log: lines by number or by chunk. Lists never come here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import F

from runs.models import LogChunk


@dataclass(frozen=True)
class LogLine:
    """One line as pages show it. `number` counts from 1 over the whole log, gaps included."""

    number: int
    at: datetime
    level: str
    step: str
    text: str


def lines_of(chunk: LogChunk) -> Iterator[LogLine]:
    """The lines of one chunk."""
    for offset, packed in enumerate(chunk.text.split("\n")):
        at, level, step, text = packed.split("\t", 3)
        yield LogLine(chunk.first_line + offset, datetime.fromtimestamp(float(at), UTC), level, step, text)


def chunks_after(run_id: UUID, sequence: int, limit: int = 500) -> list[LogChunk]:
    """The chunks after a sequence number, in order, at most `limit`."""
    return list(LogChunk.objects.filter(run_id=run_id, sequence__gt=sequence).order_by("sequence")[:limit])


def chunks_after_line(run_id: UUID, line: int, limit: int = 500) -> list[LogChunk]:
    """The chunks that hold lines after a line number, in order, at most `limit`. The first ones of their lines may be known."""
    rows = LogChunk.objects.filter(run_id=run_id, first_line__gt=line + 1 - F("line_count"))
    return list(rows.order_by("sequence")[:limit])


def lines_after(run_id: UUID, line: int, limit: int = 500) -> list[LogLine]:
    """The lines after a line number, of at most `limit` chunks."""
    return [found for found in lines(chunks_after_line(run_id, line, limit)) if found.number > line]


def every_chunk(run_id: UUID, size: int = 50) -> Iterator[LogChunk]:
    """The whole log, read some chunks at a time: nothing stays open while somebody downloads it."""
    sequence = 0
    while found := chunks_after(run_id, sequence, size):
        yield from found
        sequence = found[-1].sequence


def lines(chunks: Iterable[LogChunk]) -> list[LogLine]:
    """All lines of some chunks."""
    return [line for chunk in chunks for line in lines_of(chunk)]
