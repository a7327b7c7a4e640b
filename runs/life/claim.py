"""The claim: exactly one of the workers that receive an attempt's job gets the attempt."""

from __future__ import annotations

import os
import socket
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR
from runs.life.hooks import Life
from runs.life.kind import R
from runs.models import ACTIVE, State


def worker_name() -> str:
    """`host:pid` of this process, for pages and logs."""
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def claim(life: Life[R], run_id: UUID, attempt: int) -> R | None:
    """Claims the attempt for this process, by one conditional update, so that only one process can succeed.

    Returns the run; None when the attempt is not current, another worker has it, or another run goes first.
    """
    rows = life.kind.rows().filter(run_id=run_id, attempt=attempt)
    try:
        with transaction.atomic():
            run = life.kind.rows(life.worker_needs).filter(run_id=run_id, attempt=attempt).first()
            if run is None or not (_go_on(life, run, rows) or _begin(life, run, rows)):
                return None
            run.state = rows.values_list("state", flat=True).get()
    except IntegrityError:  # by a constraint, another run is active; its end enqueues this one
        return None
    return run


def _go_on(life: Life[R], run: R, rows: QuerySet[R]) -> bool:
    """Claims an active run without a worker: one handed it over, or the reconciler took it away from one."""
    if rows.filter(state__in=ACTIVE, worker="").update(worker=worker_name(), heartbeat_at=Now()) != 1:
        return False
    life.kind.audit(SYSTEM_ACTOR, f"{life.kind.name}.resumed", run, attempt=run.attempt)
    return True


def _begin(life: Life[R], run: R, rows: QuerySet[R]) -> bool:
    """Claims a queued run, if `may_start` allows it."""
    if not life.may_start(run):
        return False
    changes = life.changes_at_start(run)
    begun = {"state": State.RUNNING, "worker": worker_name(), "heartbeat_at": Now(), **changes}
    if rows.filter(state=State.QUEUED).update(**begun) != 1:
        return False
    # The update may have waited for the lock until the run before ended, so the start is now.
    rows.update(started_at=timezone.now())
    run.refresh_from_db(fields=["state", "started_at", *changes])
    life.kind.audit(SYSTEM_ACTOR, f"{life.kind.name}.started", run)
    life.on_start(run)
    return True
