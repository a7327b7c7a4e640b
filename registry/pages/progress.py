"""The renewals that run now, for the page that follows them, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from registry.models import Credential, Refresh
from registry.pages.past import sentences

NAMES = ("List", "Token", "Proof", "Write", "Read back")
DOING = (
    "waiting for a worker",
    "reading the Secrets",
    "token",
    "proof at the registry",
    "writing",
    "reading back",
)
JUST_NOW = timedelta(seconds=45)  # one that has ended stays on the page of who asked for it
# Renewals that were asked for so close together belong to one order: ended ones stay as long as the others.
TOGETHER = timedelta(seconds=5)
MOST = 20
P = Refresh.Progress
OPEN = (P.QUEUED, P.RUNNING)


@dataclass(frozen=True)
class Going:
    """A renewal that runs, or has just ended. `steps`: as components/steps.html wants them."""

    row: Refresh
    steps: tuple[dict[str, Any], ...]
    result: str

    @property
    def place(self) -> str:
        """Cluster, or cluster and namespace."""
        return f"{self.row.cluster.name}{f' / {self.row.namespace}' if self.row.namespace else ''}"

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.row.state in OPEN

    @property
    def sentence(self) -> str:
        """How far it is, in words; its result when it has ended."""
        if not self.is_open:
            return self.result
        count = f", {self.row.done} of {self.row.total}" if self.row.total else ""
        return f"step {self.row.step} of 5, {DOING[self.row.step]}{count}" if self.row.step else DOING[0]


def going(user: Any, credentials: QuerySet[Credential], now: datetime) -> list[Going]:
    """The open renewals in clusters where the person sees a credential, and their own of a moment ago."""
    theirs = credentials.order_by().values("cluster_id")
    own = Q(asked_by=user.pk, ended_at__gt=now - JUST_NOW)
    rows = Refresh.objects.filter(Q(state__in=OPEN, cluster__in=theirs) | own)
    if not user.is_admin:
        there = credentials.order_by().filter(cluster=OuterRef("cluster"), namespace=OuterRef("namespace"))
        rows = rows.filter(Q(namespace="") | Exists(there))
    found = list(
        rows.select_related("cluster", "asked_by").defer("cluster__kubeconfig").order_by("-id")[:MOST]
    )
    newest = max((row.asked_at for row in found), default=now)
    shown = [row for row in reversed(found) if row.state in OPEN or row.asked_at > newest - TOGETHER]
    told = sentences(user, shown)
    return [Going(row, steps(row), told[row.pk]) for row in shown]


def steps(row: Refresh) -> tuple[dict[str, Any], ...]:
    """The five steps with their states."""
    return tuple(_step(row, number, name) for number, name in enumerate(NAMES, 1))


def _step(row: Refresh, number: int, name: str) -> dict[str, Any]:
    count = f"{row.done} of {row.total}" if number == row.step and row.total else ""
    if number < row.step or row.state == P.SUCCEEDED:
        return {"name": name, "state": "succeeded", "note": count or "done"}
    if number > row.step:
        return {"name": name, "state": "pending", "note": ""}
    if row.state == P.RUNNING:
        percent = round(100 * row.done / row.total) if row.total else None
        return {
            "name": name,
            "state": "running",
            "note": count,
            "started_at": row.started_at,
            "percent": percent,
        }
    return {"name": name, "state": str(row.state) if row.state != P.QUEUED else "pending", "note": count}
