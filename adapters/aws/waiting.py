"""How long a person waits for AWS: a limit for all reads of secrets that one request makes, one after the other.

Each call has its own limits, but a request that reads several versions would wait for each of them. When the time is used up,
no further read is begun. Writes are not limited here: one that has begun is brought to its end, so that its outcome is known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from adapters.aws.session import HASTY, Access, Limits
from adapters.errors import TimedOut

SECONDS = 8.0  # one call that fails by HASTY's limits, and a little
_LAST = Limits(connect=1, read=2, tries=1)  # where less is left than HASTY may take
_HASTY_SECONDS = HASTY.tries * HASTY.read


@dataclass
class _Budget:
    left: float


_budget: ContextVar[_Budget | None] = ContextVar("aws-waiting", default=None)


@contextmanager
def waiting_at_most(seconds: float = SECONDS) -> Iterator[None]:
    """Limits the reads of the block, all together; also those of threads that have its context."""
    token = _budget.set(_Budget(seconds))
    try:
        yield
    finally:
        _budget.reset(token)


@contextmanager
def one_read(system: str) -> Iterator[None]:
    """Takes the time of the block away from what is left. Raises TimedOut, without a call, where nothing is left."""
    budget = _budget.get()
    if budget is None:
        yield
        return
    if budget.left <= 0:
        hint = "Nothing was changed. Try again in a minute."
        message = f"{system} answers too slowly: the time of this request was used up by the reads before."
        raise TimedOut(message, system=system, hint=hint)
    started = time.monotonic()
    try:
        yield
    finally:
        budget.left -= time.monotonic() - started


def in_time(access: Access) -> Access:
    """The access with time limits that fit what is left."""
    budget = _budget.get()
    if budget is None:
        return access
    return replace(access, limits=HASTY if budget.left >= _HASTY_SECONDS else _LAST)
