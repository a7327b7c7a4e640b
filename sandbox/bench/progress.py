"""What the benchmark does now, for whoever waits: the part, the round, the seconds since the part began; on standard error.

On a terminal one line that is written anew; elsewhere (a pipe, CI) a line each. A part that measures in a process of its
own hands `for_child()` down.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

_VARIABLE = "BENCH_PART"  # "name began", by the clock that all processes of this machine share


def begin(part: str) -> None:
    """From here on `part` is what is told of."""
    os.environ[_VARIABLE] = f"{part} {time.monotonic():.3f}"
    tell("begins")


def for_child() -> dict[str, str]:
    """The variable that makes a child tell of the same part."""
    return {_VARIABLE: os.environ[_VARIABLE]} if _VARIABLE in os.environ else {}


def tell(text: str) -> None:
    """One step of the present part; nothing outside of one (a file of the benchmark that is run by hand)."""
    part, _, began = os.environ.get(_VARIABLE, "").partition(" ")
    if not part:
        return
    line = f"{part}: {text}, {max(0.0, time.monotonic() - float(began)):.0f} s"
    _write(f"\r\033[K{line}" if sys.stderr.isatty() else f"{line}\n")


def rounds(count: int, what: str) -> Iterator[int]:
    """The numbers of so many rounds, each told of when it begins."""
    for number in range(count):
        tell(f"{what}, round {number + 1} of {count}")
        yield number


def clear() -> None:
    """Takes the line off a terminal, before something else is written there."""
    if sys.stderr.isatty():
        _write("\r\033[K")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
