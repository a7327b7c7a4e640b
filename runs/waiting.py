"""Lines of a log that are not written yet. While the database is away they are kept, up to a bound: a worker whose build prints
without end must not grow until its host kills it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

MOST_CHARACTERS = 8_000_000
MOST_AT_ONCE = 2_000  # lines that are written together


@dataclass(frozen=True)
class Line:
    """One line that is not written yet. `at`: seconds since the epoch."""

    at: float
    level: str
    step: str
    text: str

    def packed(self) -> str:
        """The line's form inside a chunk (`runs.models.LogChunk`)."""
        return f"{self.at:.3f}\t{self.level}\t{self.step}\t{self.text}"


class Waiting:
    """The lines, in order. Threads add them; one thread at a time takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque()
        self._characters = 0
        self._dropped = 0
        self._said: tuple[Line, int] | None = (
            None  # the line about dropped ones that was taken last, and their number
        )

    def add(self, lines: Iterable[Line]) -> None:
        """Adds lines at the end. Beyond the bound the oldest ones go."""
        with self._lock:
            for line in lines:
                self._lines.append(line)
                self._characters += len(line.text)
            while self._characters > MOST_CHARACTERS and len(self._lines) > 1:
                self._characters -= len(self._lines.popleft().text)
                self._dropped += 1

    def take(self) -> list[Line]:
        """The next lines, MOST_AT_ONCE at most. The first of them says how many are missing before it."""
        with self._lock:
            taken = [self._lines.popleft() for _ in range(min(MOST_AT_ONCE, len(self._lines)))]
            self._characters -= sum(len(line.text) for line in taken)
            if self._dropped and taken:
                said = f"{self._dropped} lines are missing here: the database did not answer for so long."
                self._said = Line(taken[0].at, "warning", taken[0].step, said), self._dropped
                taken.insert(0, self._said[0])
                self._dropped = 0
        return taken

    def put_back(self, lines: list[Line]) -> None:
        """Puts taken lines back, before all others. The next `add` keeps the bound."""
        with self._lock:
            if self._said is not None and lines[0] is self._said[0]:
                self._dropped += self._said[1]
                lines = lines[1:]
            self._lines.extendleft(reversed(lines))
            self._characters += sum(len(line.text) for line in lines)
