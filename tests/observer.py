"""An observer of the engine for tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.types import ObjectRef, ObjectStatus


@dataclass
class Watching:
    """Records all reports, and can stop the engine: each check calls `stop`, which may raise."""

    stop: Callable[[], None] = lambda: None
    lines: list[str] = field(default_factory=list)
    statuses: list[ObjectStatus] = field(default_factory=list)
    checks: list[float] = field(default_factory=list)
    confirmed: int = 0

    def line(self, text: str, *, level: str = "info") -> None:
        self.lines.append(text)

    def status(self, status: ObjectStatus) -> None:
        self.statuses.append(status)

    def check(self) -> None:
        self.checks.append(time.monotonic())
        self.stop()

    def confirm(self) -> None:
        self.confirmed += 1
        self.stop()

    def is_sure(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def last(self, ref: ObjectRef) -> ObjectStatus:
        return next(status for status in reversed(self.statuses) if status.ref == ref)
