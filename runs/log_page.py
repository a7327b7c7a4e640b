"""The log on the page of one run: folded by step; a long one with its head and its tail, or the part around a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Protocol
from uuid import UUID

from runs.log import LogLine, chunks_after, lines, lines_of
from runs.models import LogChunk

MOST_LINES = 3000
HEAD_LINES = 500
# Before and after the line that an address names, when it lies in what is not shown.
AROUND = 500
OPEN_STEPS = ("failed", "errored", "timed_out", "running")


class StepOfLog(Protocol):
    """What a fold's head says of its step."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def seconds(self) -> float | None: ...


@dataclass(frozen=True)
class Fold:
    """The log's part of one step."""

    step: str
    name: str
    lines: Sequence[Any]
    state: str = ""
    summary: str = ""
    seconds: float | None = None
    open: bool = False


@dataclass(frozen=True)
class Gap:
    """Stands for lines that are not shown."""

    number: int
    text: str
    step: str
    at: datetime | None = None
    level: str = "gap"


def shown(run_id: UUID, steps: Iterable[StepOfLog], *, line: int = 0) -> tuple[list[Fold], int]:
    """The log by step, and the number of its last line. `line`: one that has to be among those shown."""
    found = lines(chunks_after(run_id, 0, limit=100_000))
    last = found[-1].number if found else 0
    some = with_gaps(cut(found, line), first=1 if found else 0)
    return folds(some, {step.name: step for step in steps}, line), last


def cut(found: Sequence[LogLine], line: int = 0) -> Sequence[LogLine]:
    """Head and tail of a long log, and the lines around `line`."""
    if len(found) <= MOST_LINES:
        return found
    tail = len(found) - (MOST_LINES - HEAD_LINES)
    place = next((place for place, one in enumerate(found) if one.number >= line), tail) if line else tail
    middle = found[max(place - AROUND, HEAD_LINES) : min(place + AROUND, tail)] if place < tail else []
    return [*found[:HEAD_LINES], *middle, *found[tail:]]


def with_gaps(found: Sequence[LogLine], first: int = 0) -> list[Any]:
    """Says where lines are missing: not shown here, or dropped from the middle of a log that never ended
    (runs/journal.py). `first`: the number that the first line should have; 0: any."""
    result: list[Any] = []
    expected = first or (found[0].number if found else 0)
    for one in found:
        if one.number > expected:
            count = one.number - expected
            result.append(
                Gap(
                    expected,
                    f"{count} lines are not shown; those that were kept are in the download",
                    one.step,
                )
            )
        result.append(one)
        expected = one.number + 1
    return result


def folds(found: Sequence[Any], steps: dict[str, StepOfLog] | None = None, line: int = 0) -> list[Fold]:
    """Lines grouped by their step, in order. Open: the last fold, every fold in trouble, and the one that holds `line`."""
    merged: dict[str, list[Any]] = {}
    for name, group in groupby(found, key=lambda one: one.step):
        merged.setdefault(name, []).extend(group)
    last = next(reversed(merged), "")
    return [
        fold(
            name,
            group,
            (steps or {}).get(name),
            is_open=name == last or any(one.number == line for one in group),
        )
        for name, group in merged.items()
    ]


def fold(name: str, group: Sequence[Any], step: StepOfLog | None, *, is_open: bool) -> Fold:
    """The part of one step; lines before the first step stand under "Start"."""
    title = name or "start"
    if step is None:
        return Fold(title, title.capitalize(), group, open=is_open)
    return Fold(
        title, title.capitalize(), group, state=step.state, summary=step.summary, seconds=step.seconds,
        open=is_open or step.state in OPEN_STEPS,
    )  # fmt: skip


def as_text(chunks: Iterable[LogChunk]) -> Iterator[str]:
    """The log as a text file, one part a chunk."""
    for chunk in chunks:
        yield "".join(map(text_line, lines_of(chunk)))


def text_line(line: LogLine) -> str:
    """One line of the file: number, time, step, level, text."""
    at = line.at.astimezone(UTC)
    return f"{line.number:>6} {at:%Y-%m-%d %H:%M:%S}Z {line.step:<9} {line.level:<7} {line.text}\n"
