"""The log on the page of a run, folded by step. A long log shows its head, its tail and the lines around a requested one."""

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
# Lines before and after the requested line, when it is in the part that is left out.
AROUND = 500
OPEN_STEPS = ("failed", "errored", "timed_out", "running")


class StepOfLog(Protocol):
    """The fields of a step that the head of its fold shows."""

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
    """The lines of one step. `open`: whether it is unfolded."""

    step: str
    name: str
    lines: Sequence[Any]
    state: str = ""
    summary: str = ""
    seconds: float | None = None
    open: bool = False


@dataclass(frozen=True)
class Gap:
    """Takes the place of lines that are not shown. It has the fields of a `LogLine`."""

    number: int
    text: str
    step: str
    at: datetime | None = None
    level: str = "gap"


def shown(run_id: UUID, steps: Iterable[StepOfLog], *, line: int = 0) -> tuple[list[Fold], int]:
    """The log by step, and the number of its last line. `line`: a line number that must be shown, or 0."""
    found = lines(chunks_after(run_id, 0, limit=100_000))
    last = found[-1].number if found else 0
    some = with_gaps(cut(found, line), first=1 if found else 0)
    return folds(some, {step.name: step for step in steps}, line), last


def cut(found: Sequence[LogLine], line: int = 0) -> Sequence[LogLine]:
    """All lines of a short log; else its head, the lines around `line`, and its tail."""
    if len(found) <= MOST_LINES:
        return found
    tail = len(found) - (MOST_LINES - HEAD_LINES)
    place = next((place for place, one in enumerate(found) if one.number >= line), tail) if line else tail
    middle = found[max(place - AROUND, HEAD_LINES) : min(place + AROUND, tail)] if place < tail else []
    return [*found[:HEAD_LINES], *middle, *found[tail:]]


def with_gaps(found: Sequence[LogLine], first: int = 0) -> list[Any]:
    """Puts a Gap where lines are missing: left out here, or deleted from the middle of a very long log (runs/journal.py).
    `first`: the expected number of the first line; 0: any."""
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
    """Lines grouped by step, in order. Unfolded: the last step, failed and running steps, and the step with `line`."""
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
    """The fold of one step. Lines before the first step get the name "Start"."""
    title = name or "start"
    if step is None:
        return Fold(title, title.capitalize(), group, open=is_open)
    return Fold(
        title, title.capitalize(), group, state=step.state, summary=step.summary, seconds=step.seconds,
        open=is_open or step.state in OPEN_STEPS,
    )  # fmt: skip


def as_text(chunks: Iterable[LogChunk]) -> Iterator[str]:
    """The log as text, one part per chunk."""
    for chunk in chunks:
        yield "".join(map(text_line, lines_of(chunk)))


def text_line(line: LogLine) -> str:
    """One line of the text file: number, time (UTC), step, level, text."""
    at = line.at.astimezone(UTC)
    return f"{line.number:>6} {at:%Y-%m-%d %H:%M:%S}Z {line.step:<9} {line.level:<7} {line.text}\n"
