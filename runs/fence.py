"""The fence: a worker that lost its run to another one cannot write any more.

Every write of a worker happens in a transaction that first updates the run's row *with its attempt*. This locks the row
until the commit, so no take-over can come between the check and the write. (The attempt is a fencing token: M. Kleppmann,
"How to do distributed locking", 2016.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from engine.errors import Stop
from runs.models import ACTIVE, Run


class FenceLost(Stop):
    """This worker no longer owns the run: another one has it, or it was ended. The worker must stop and write nothing."""

    patience = 0.0


@dataclass(frozen=True)
class Fence:
    """One attempt at one run."""

    model: type[Run]
    run_id: UUID
    attempt: int

    @contextmanager
    def held(self, **changes: object) -> Iterator[None]:
        """A transaction that only the current attempt can enter; also writes a heartbeat.

        `changes` are written to the run's row with the check. Raises FenceLost when this attempt is not the current one.
        """
        with transaction.atomic():
            rows = self.model._default_manager.filter(
                run_id=self.run_id, attempt=self.attempt, state__in=ACTIVE
            )
            if rows.update(heartbeat_at=Now(), **changes) != 1:
                raise FenceLost("This attempt was given up; another worker has the run, or it was ended.")
            yield
