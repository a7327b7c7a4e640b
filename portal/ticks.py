"""The scheduler's ticks and their intervals in seconds. Each tick is short: it looks for due rows and enqueues jobs."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.utils import timezone

from audit import chain, integrity
from builds import deciding, engine, following, missed
from builds.incoming import forgetting
from builds.life import LIFE as BUILDS
from clusters import jobs as live
from core import changes, heartbeats, typed
from core.jobs import enqueue, slot
from core.scheduler import Tick
from deployments import branches
from deployments.gate import automatic, plans
from deployments.gate.aftermath import tell_troubles
from deployments.gate.life import LIFE as DEPLOYS
from notify import operations
from notify.outbox import due
from notify.pruning import forget_old as forget_old_messages
from portal.status import asking
from projects import mirrors
from registry import ending
from registry import jobs as registry
from runs.life.reconcile import reconcile
from secrets_ui.editing import drafts, settling
from secrets_ui.jobs import look_at_due
from secrets_ui.requests import tending


def tend_runs() -> None:
    """Reconciles runs of every kind."""
    reconcile([DEPLOYS, BUILDS])


def chain_audit() -> None:
    """Adds new audit events to the chain of hashes."""
    chain.extend()


def send_waiting() -> None:
    """Enqueues the sending of due messages whose job was lost."""
    oldest = due().first()
    if oldest is not None:
        job_id = f"send-due-{oldest.pk}-{oldest.tries}-{slot(60)}"
        enqueue("notify.outbox.send_due", queue="messages", job_id=job_id)


def forget_sessions() -> None:
    """Deletes expired sessions; Django does not do that itself."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


# In a loop of their own (`manage.py scheduler`).
RECONCILING = (Tick("reconcile", 5, tend_runs),)
TICKS = (
    Tick("live", live.LOOK_SECONDS, live.refresh_stale),
    Tick("troubles", 10, tell_troubles),
    Tick("outbox", 10, send_waiting),
    Tick("audit", 30, chain_audit),
    Tick("automatic deploys", automatic.LOOK_SECONDS, automatic.look),
    Tick("branches", 20, branches.refresh_due),
    Tick("deliveries", 20, deciding.work_on_waiting),
    Tick("missed pushes", missed.LOOK_SECONDS, missed.look_due),
    Tick("late branches", following.LOOK_SECONDS, following.look_due),
    Tick("old deliveries", 3600, forgetting.forget_old),
    Tick("old automatic choices", 3600, automatic.forget_old),
    Tick("integrity", 120, integrity.verify_due),
    Tick("secrets", 60, look_at_due),
    Tick("secret drafts", 60, drafts.erase_ended),
    Tick("typed secrets", 60, typed.erase_ended),
    Tick("secret saves", 30, settling.settle_due),
    Tick("secret requests", 30, tending.tend_due),
    Tick("pull credentials", 60, registry.look),
    Tick("pull warnings", 60, ending.warn),
    Tick("old renewals", 3600, registry.forget_old),
    Tick("mirrors", mirrors.LOOK_SECONDS, mirrors.tidy_all),
    Tick("sessions", 3600, forget_sessions),
    Tick("heartbeats", 60, heartbeats.prune),
    Tick("docker engine", engine.LOOK_SECONDS, engine.look_soon),
    Tick("old changes", 600, changes.prune),
    Tick("old messages", 3600, forget_old_messages),
    Tick("old plans", 3600, plans.prune),
    Tick("contacts", asking.LOOK_SECONDS, asking.ask_quiet),
    Tick("operations", 20, operations.tell_due),
)
