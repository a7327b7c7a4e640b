"""Reads a run's log, by line number or by chunk. For one run at a time, never for lists of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from runs.models import LogChunk

MOST_CHUNKS = 500


@dataclass(frozen=True)
class LogLine:
    """One line of a log. `number` counts from 1 over the whole log; dropped lines count, too."""

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


def chunks_after(run_id: UUID, sequence: int, limit: int = MOST_CHUNKS) -> list[LogChunk]:
    """The chunks after a sequence number, in order, at most `limit`."""
    return list(LogChunk.objects.filter(run_id=run_id, sequence__gt=sequence).order_by("sequence")[:limit])


def last_chunk_before(run_id: UUID, line: int) -> int:
    """The sequence number of the last chunk whose lines all come before `line`; 0 when there is none.

    Searches the index of chunks from the end, so the cost depends only on the chunks after `line`, which are read next.
    """
    if line <= 1:
        return 0
    newest = LogChunk.objects.filter(run_id=run_id).order_by("-sequence")
    chunk = newest.filter(first_line__lt=line).only("sequence", "first_line", "line_count").first()
    if chunk is None:
        return 0
    return chunk.sequence if chunk.first_line + chunk.line_count <= line else chunk.sequence - 1


def lines_after(run_id: UUID, line: int) -> list[LogLine]:
    """The lines after a line number, of at most MOST_CHUNKS chunks."""
    return read_from_line(run_id, line)[0]


def read_from_line(run_id: UUID, line: int) -> tuple[list[LogLine], int]:
    """The lines after a line number, of at most MOST_CHUNKS chunks, and the sequence number to pass to `read_on`."""
    sequence = last_chunk_before(run_id, line + 1)
    found, sequence = read_on(run_id, sequence)
    return [one for one in found if one.number > line], sequence


def read_on(run_id: UUID, sequence: int) -> tuple[list[LogLine], int]:
    """The lines of at most MOST_CHUNKS chunks after a sequence number, and the sequence number of the last of them."""
    chunks = chunks_after(run_id, sequence)
    return lines(chunks), chunks[-1].sequence if chunks else sequence


def last_line(run_id: UUID, sequence: int) -> int:
    """The number of the last line of a chunk; 0 when there is no such chunk."""
    chunk = LogChunk.objects.filter(run_id=run_id, sequence=sequence).only("first_line", "line_count").first()
    return chunk.first_line + chunk.line_count - 1 if chunk else 0


def every_chunk(run_id: UUID, size: int = 50) -> Iterator[LogChunk]:
    """Every chunk of the log, read `size` at a time: no database cursor stays open during a slow download."""
    sequence = 0
    while found := chunks_after(run_id, sequence, size):
        yield from found
        sequence = found[-1].sequence


def lines(chunks: Iterable[LogChunk]) -> list[LogLine]:
    """The lines of the given chunks, in order."""
    return [line for chunk in chunks for line in lines_of(chunk)]
