"""The fence: a worker that was given up and wakes again can write nothing.

Every write of a worker happens in a transaction that first touches the run's row *with its attempt*. The row is locked
by that until the commit, so the check and the write cannot be torn apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from engine.errors import SlipwayError
from runs.models import ACTIVE, Run


class FenceLost(SlipwayError):
    """Somebody else works on this run, or it was ended. Whoever gets this stops at once and writes nothing."""


@dataclass(frozen=True)
class Fence:
    """One attempt at one run."""

    model: type[Run]
    run_id: UUID
    attempt: int

    @contextmanager
    def held(self, **changes: object) -> Iterator[None]:
        """A transaction in which this attempt is known to be the current one; also a heartbeat.

        `changes` are written to the run's row with the check. Raises FenceLost.
        """
        with transaction.atomic():
            rows = self.model._default_manager.filter(
                run_id=self.run_id, attempt=self.attempt, state__in=ACTIVE
            )
            if rows.update(heartbeat_at=Now(), **changes) != 1:
                raise FenceLost("This attempt was given up; another worker has the run, or it was ended.")
            yield
