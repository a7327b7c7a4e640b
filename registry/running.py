"""Takes a cluster's lease and looks at it: for jobs, ticks and the command line."""

from __future__ import annotations

import structlog
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from adapters.errors import ExternalError
from core.redactor import redactor_in_force
from projects.connections import hasty_client
from projects.models import Cluster, Environment
from registry import history, watching
from registry.faults import Fault
from registry.leases import LeaseLost, leased
from registry.models import Cause, Credential, Namespaces, Refresh
from registry.policies import policy_of
from registry.reconcile import Ask, Look, Report, lease_of

log = structlog.get_logger(__name__)
PURPOSE = "pull credentials"
BUSY = Fault(
    "Another worker is renewing the pull credentials of this cluster.", "Look again in a few seconds."
)

ARCHIVED = Fault("The cluster is archived: no pull credential is renewed there.", "An admin can restore it.")


def look_at(cluster: Cluster, ask: Ask, *, wait: float = 0.0) -> Report:
    """Looks at a cluster under its lease, for which it waits up to `wait` seconds. Faults are in the report: also that the
    cluster is archived."""
    if cluster.archived_at:
        return Report(fault=ARCHIVED)
    with redactor_in_force(), leased(lease_of(cluster), wait=wait) as held:
        if held is None:
            return Report(fault=BUSY)
        try:
            client = hasty_client(cluster, purpose=PURPOSE)
        except ExternalError as error:
            fault = Fault(error.message, error.hint)
            watching.note_silence(watching.watch_of(cluster), fault)
            return Report(fault=fault)
        try:
            return Look(held, client, policy_of(cluster), ask).run()
        except LeaseLost as error:
            log.warning("pull credentials: taken over by another worker", cluster=cluster.slug)
            return Report(fault=Fault(error.message, BUSY.hint))
        finally:
            client.close()


def carry_out(refresh_id: int) -> None:
    """Carries out a renewal that was asked for. While another worker writes in the cluster it stays queued."""
    row = history.claimed(refresh_id)
    if row is None:
        return
    newest = row.asked_at if row.cause == Cause.PERSON and not row.namespace else None
    # A token for all is not renewed for one namespace, but tried.
    prove = row.cause == Cause.PERSON and newest is None
    ask = Ask(
        row.cause, row.namespace, forced=True, newest=newest, prove=prove, asked_as=row.asked_as, row=row
    )
    report = look_at(row.cluster, ask, wait=20.0)
    if report.fault is BUSY:
        history.requeued(row)
    elif report.fault is not None:
        row.refresh_from_db()
        if row.state == Refresh.Progress.RUNNING:
            history.fail(row, report.fault.sentence, report.fault.hint)


def due_clusters(*, waiting: bool = False) -> list[int]:
    """The clusters to look at now, archived ones left out: those that are to have pull secrets, or had some. Those whose pause
    after a failure is not over only with `waiting`."""
    waits = Q(pull_watch__next_try_at__gt=timezone.now())
    naming = Environment.objects.current().filter(cluster=OuterRef("pk")).exclude(pull_secret="")
    wanted = (
        Q(Exists(naming))
        | Q(Exists(Credential.objects.filter(cluster=OuterRef("pk"))))
        | Q(pull_policy__namespaces__in=(Namespaces.SELECTOR, Namespaces.ALL))
    )
    rows = Cluster.objects.current().filter(wanted)
    return list((rows if waiting else rows.exclude(waits)).values_list("pk", flat=True))
