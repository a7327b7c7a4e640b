"""Requests to cancel a run. The kind of run checks the right and adds its own consequences."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from audit.actors import Actor
from runs.bell import CHANGED, Bell
from runs.life.ending import write_end
from runs.life.hooks import End, Life
from runs.life.kind import R
from runs.models import State

CHANGED_BY_IT = ["state", "cancel_requested_at", "cancelled_by", "started_at", "ended_at", "result", "hint"]


def ask_to_stop(life: Life[R], actor: Actor, run: R) -> bool:
    """Stores the request once. Returns whether a cancel is requested, now or earlier. Call it in a transaction.

    A waiting run ends at once; a running one becomes `cancelling`, and its worker stops before its next write. Returns False,
    and changes nothing, when the run ended without a request. Refreshes `run`.
    """
    kind = life.kind
    rows = kind.rows().filter(pk=run.pk, cancel_requested_at=None)
    asked = {"cancel_requested_at": Now(), "cancelled_by": actor.text[:150]}
    if rows.filter(state__in=(State.QUEUED, State.WAITING)).update(**asked) == 1:
        kind.audit(actor, f"{kind.name}.cancel_requested", run)
        write_end(life, run, End(State.CANCELLED, f"{actor.text} cancelled it before it started."))
    elif rows.filter(state=State.RUNNING).update(state=State.CANCELLING, **asked) == 1:
        kind.audit(actor, f"{kind.name}.cancel_requested", run)
        transaction.on_commit(lambda: Bell(run.run_id).ring(CHANGED))
    run.refresh_from_db(fields=CHANGED_BY_IT)
    return run.cancel_requested_at is not None
