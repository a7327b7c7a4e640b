"""Refusals that a request has met, for the audit: also those that a form shows and no answer's status tells of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from engine.errors import SlipwayError

_noted: ContextVar[list[SlipwayError] | None] = ContextVar("refusals", default=None)


@contextmanager
def noting() -> Iterator[list[SlipwayError]]:
    """Yields the list to which `note` adds errors during the block."""
    noted: list[SlipwayError] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def note(error: SlipwayError) -> None:
    """Notes an error that a page shows to the person. Does nothing outside of a request."""
    noted = _noted.get()
    if noted is not None:
        noted.append(error)
