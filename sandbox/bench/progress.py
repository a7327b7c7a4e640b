"""Progress of the benchmark on standard error: the part, the round, and the seconds since the part began.

A terminal shows one line that is overwritten; a pipe gets a line for each step. A part that measures in a child process
passes `for_child()` to it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

_VARIABLE = "BENCH_PART"  # "name began", by a clock that all processes of this machine share


def begin(part: str) -> None:
    """Makes `part` the current part."""
    os.environ[_VARIABLE] = f"{part} {time.monotonic():.3f}"
    tell("begins")


def for_child() -> dict[str, str]:
    """The environment variable that gives a child the current part."""
    return {_VARIABLE: os.environ[_VARIABLE]} if _VARIABLE in os.environ else {}


def tell(text: str) -> None:
    """Shows one step of the current part. Without a part (a benchmark file run by hand) it shows nothing."""
    part, _, began = os.environ.get(_VARIABLE, "").partition(" ")
    if not part:
        return
    line = f"{part}: {text}, {max(0.0, time.monotonic() - float(began)):.0f} s"
    _write(f"\r\033[K{line}" if sys.stderr.isatty() else f"{line}\n")


def rounds(count: int, what: str) -> Iterator[int]:
    """Yields the numbers of `count` rounds and shows each when it begins."""
    for number in range(count):
        tell(f"{what}, round {number + 1} of {count}")
        yield number


def clear() -> None:
    """Clears the line on a terminal before other output."""
    if sys.stderr.isatty():
        _write("\r\033[K")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
