"""Troubles that are ordered while the cluster runs, for demonstrations and tests: what a bad day looks like.

`/sandbox/faults` is the control end, for the administrator's token only: `POST {"fault": "slow", "seconds": 5}`.
It goes on answering during every fault.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.kubernetes.refusals import Refused

FAULTS = {
    "api-down": "connections are closed without an answer",
    "slow": "every answer comes that much later",
    "throttle": "two of three requests are answered 429",
    "expire-watches": "all watches end with 410, and older versions are forgotten",
    "drop-node": "one node falls silent; its pods are replaced elsewhere",
}
_SLOW_FOR = 60.0  # `slow 5s` means: 5 s more for each answer, for a minute
_DEFAULTS = {"api-down": 30.0, "slow": 2.0, "throttle": 30.0, "expire-watches": 0.0, "drop-node": 60.0}
PATH = "/sandbox/faults"


class Down(Exception):
    """The server does not answer: the connection is to be closed."""


@dataclass
class Faults:
    """What is wrong at the moment."""

    expire_watches: Callable[[], None]
    drop_node: Callable[[float], str]
    hang_up: Callable[[], None]
    _until: dict[str, float] = field(default_factory=dict)
    _delay: float = 0.0
    _count: int = 0

    def order(self, fault: str, seconds: float | None) -> str:
        """Begins a fault; returns what happens, in words. Raises Refused (422) for unknown ones."""
        if fault not in FAULTS:
            raise Refused(422, "Invalid", f"There is no fault {fault!r}. Known are: {', '.join(FAULTS)}.")
        amount = _DEFAULTS[fault] if seconds is None else seconds
        if not 0 <= amount <= 3600:
            raise Refused(422, "Invalid", "A fault lasts at most an hour.")
        lasts = _SLOW_FOR if fault == "slow" else amount
        self._until[fault] = time.monotonic() + lasts
        if fault == "slow":
            self._delay = amount
            return f"Each answer comes {amount:g} s later, for {lasts:g} s."
        if fault == "expire-watches":
            self.expire_watches()
            return "All watches end; versions before now are forgotten."
        if fault == "drop-node":
            return f"{self.drop_node(amount)} is silent for {amount:g} s."
        if fault == "api-down":
            self.hang_up()
            return f"The API server does not answer for {amount:g} s."
        return f"Two of three requests are answered 429 for {amount:g} s."

    def _is(self, fault: str) -> bool:
        return self._until.get(fault, 0.0) > time.monotonic()

    async def strike(self) -> None:
        """Called before every request is answered. Raises Down, Refused (429)."""
        if self._is("api-down"):
            raise Down
        if self._is("throttle"):
            self._count += 1
            if self._count % 3:
                message = "the server has received too many requests and has asked us to try again later"
                raise Refused(429, "TooManyRequests", message, {"retryAfterSeconds": 1})
        if self._is("slow"):
            await asyncio.sleep(self._delay)
            if self._is("api-down"):
                raise Down
