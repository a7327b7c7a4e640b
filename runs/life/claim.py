"""The claim: of all workers that were rung for an attempt, one makes it its own."""

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
    """Host and process, for the page and the log."""
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def claim(life: Life[R], run_id: UUID, attempt: int) -> R | None:
    """Makes this process the one that works on the attempt: one conditional update, so only one can win.

    None when the attempt is not the current one, another worker has it, or it is not the run's turn.
    """
    rows = life.kind.rows().filter(run_id=run_id, attempt=attempt)
    try:
        with transaction.atomic():
            run = life.kind.rows(life.worker_needs).filter(run_id=run_id, attempt=attempt).first()
            if run is None or not (_go_on(life, run, rows) or _begin(life, run, rows)):
                return None
            run.state = rows.values_list("state", flat=True).get()
    except IntegrityError:  # a constraint says that another one is running; its end rings for this one
        return None
    return run


def _go_on(life: Life[R], run: R, rows: QuerySet[R]) -> bool:
    """Takes a run that another worker handed over, or that the reconciler took from one."""
    if rows.filter(state__in=ACTIVE, worker="").update(worker=worker_name(), heartbeat_at=Now()) != 1:
        return False
    life.kind.audit(SYSTEM_ACTOR, f"{life.kind.name}.resumed", run, attempt=run.attempt)
    return True


def _begin(life: Life[R], run: R, rows: QuerySet[R]) -> bool:
    """Takes a queued run whose turn it is."""
    if not life.may_start(run):
        return False
    changes = life.changes_at_start(run)
    begun = {"state": State.RUNNING, "worker": worker_name(), "heartbeat_at": Now(), **changes}
    if rows.filter(state=State.QUEUED).update(**begun) != 1:
        return False
    # The row may have waited here for the end of the one before: it begins now, not when it was looked at.
    rows.update(started_at=timezone.now())
    run.refresh_from_db(fields=["state", "started_at", *changes])
    life.kind.audit(SYSTEM_ACTOR, f"{life.kind.name}.started", run)
    life.on_start(run)
    return True
