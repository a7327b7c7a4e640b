"""Keeps when a workload turned bad and when it was well again, by what each read of the cluster showed.

A cluster that does not answer changes nothing here: no trouble begins or ends by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from clusters.models import Trouble
from core.redactor import redact_text
from engine.cluster.live import Workload
from projects.models import Environment

# So long a trouble must last before it is an alarm, and a recovery before it is one.
LASTING = timedelta(minutes=1)


def note(environment: Environment, workloads: Sequence[Workload], now: datetime) -> None:
    """Writes what a read at `now` showed. Call it in a transaction that holds the lock of the environment's live state.

    Only workloads of the environment count. One that is gone is well: there is nothing left that fails.
    """
    bad = {str(one.ref): one for one in workloads if one.managed and one.health == "failing"}
    rows = {row.ref: row for row in Trouble.objects.filter(environment=environment, ended_at=None)}
    for ref, workload in bad.items():
        sentence = redact_text(workload.sentence)[:300]
        if row := rows.get(ref):
            Trouble.objects.filter(pk=row.pk).update(sentence=sentence, seen_at=now, well_since=None)
        else:
            Trouble.objects.create(
                environment=environment, ref=ref, name=workload.ref.name, sentence=sentence, began_at=now, seen_at=now
            )  # fmt: skip
    for row in rows.values():
        if row.ref not in bad:
            _recovers(row, now)


def _recovers(row: Trouble, now: datetime) -> None:
    """The workload is well. A trouble that nobody was told of ends at once, so that one that comes and goes is never told;
    the others end when the recovery has lasted."""
    since = row.well_since or now
    is_over = row.told_at is None or now - since >= LASTING
    Trouble.objects.filter(pk=row.pk).update(well_since=since, ended_at=since if is_over else None)
