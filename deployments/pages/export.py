"""The history as CSV: all deploys that match the page's filters."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from audit.actors import Actor
from audit.record import record
from core import csvexport
from deployments.models import Deploy
from deployments.pages.history import HistoryFilter

HEADER = (
    "number", "project", "environment", "kind", "state", "revision", "subject", "author", "requested", "reason", "who",
    "created_at", "started_at", "ended_at", "seconds", "result", "url",
)  # fmt: skip


def row(deploy: Deploy) -> tuple[object, ...]:
    """The cells of one deploy, in the order of HEADER. Times are ISO 8601 in UTC; seconds go from start to end."""
    times = [moment.isoformat(timespec="seconds") if moment else "" for moment in moments(deploy)]
    took = deploy.seconds if deploy.ended_at else None
    return (
        deploy.number, deploy.environment.project.slug, deploy.environment.slug, deploy.kind, deploy.state,
        deploy.revision, deploy.subject, deploy.author, deploy.requested, deploy.reason, deploy.actor_text, *times,
        None if took is None else round(took, 1), deploy.result, f"{settings.BASE_URL}/deploys/{deploy.number}/",
    )  # fmt: skip


def moments(deploy: Deploy) -> tuple:
    """The times of request, start and end; None where not reached."""
    return deploy.created_at, deploy.started_at, deploy.ended_at


def export_history(actor: Actor, *, chosen: HistoryFilter, filters: dict[str, str]) -> Iterator[str]:
    """The lines of the CSV, read while they are sent. First writes an audit event with the filters.

    `chosen`: valid filters; they contain only deploys that the person may see.
    """
    rows = csvexport.by_key(chosen.qs, "number", narrow=chosen.narrow)
    record(actor, "history.exported", target_kind="history", target_text="deploys", data={"filters": filters})
    return csvexport.lines(HEADER, map(row, rows))
