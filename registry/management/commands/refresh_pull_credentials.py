"""`manage.py refresh_pull_credentials [--cluster SLUG] [--namespace NAME] [--check] [--json]`, for scripts and cron.

It renews what is due, in spite of pauses after failures, and waits for the end. `--check` writes nothing. Exit status: 0 every
credential is valid, 1 one is not or a cluster did not answer, 2 the request itself is wrong. The reason is on stderr.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from projects.models import Cluster
from registry.models import Cause, Credential
from registry.reconcile import Ask, Report, is_good
from registry.running import due_clusters, look_at

WAIT_SECONDS = 30.0


class Command(BaseCommand):
    """Looks at the clusters one after the other, as the portal itself does each minute."""

    help = "Renew the image pull secrets that are due, in all clusters or in one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cluster", default="", metavar="SLUG", help="only this cluster")
        parser.add_argument("--namespace", default="", help="only this namespace; needs --cluster")
        parser.add_argument("--check", action="store_true", help="only look; write nothing")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        clusters = chosen(options["cluster"], options["namespace"])
        cause = "" if options["check"] else Cause.PERSON
        ask = Ask(
            cause,
            options["namespace"],
            forced=not options["check"],
            check=options["check"],
            asked_as="the command line",
        )
        reports = {cluster: look_at(cluster, ask, wait=WAIT_SECONDS) for cluster in clusters}
        for cluster, report in reports.items():
            for line in problems(cluster, report):
                self.stderr.write(line)
        if options["as_json"]:
            self.stdout.write(json.dumps([facts(cluster, report) for cluster, report in reports.items()]))
        else:
            for cluster, report in reports.items():
                self.stdout.write(summary(cluster, report))
        if not all(report.is_good for report in reports.values()):
            sys.exit(1)


def chosen(slug: str, namespace: str) -> list[Cluster]:
    """The clusters to look at: the named one, else all that have something to look after. Raises CommandError (exit status 2)."""
    if namespace and not slug:
        raise CommandError("--namespace needs --cluster.", returncode=2)
    if not slug:
        # Also those whose pause after a failure is on: a person who runs this wants to know now.
        return list(Cluster.objects.filter(pk__in=due_clusters(waiting=True)).order_by("slug"))
    found = Cluster.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no cluster {slug}.", returncode=2)
    return [found]


def problems(cluster: Cluster, report: Report) -> list[str]:
    """One line for each thing that is wrong."""
    lines = [f"{cluster.slug}: {report.fault.sentence} {report.fault.hint}".strip()] if report.fault else []
    lines += [f"{cluster.slug}: {report.accounts}"] if report.accounts else []
    return lines + [
        f"{one.place}: {one.get_state_display()}. {one.last_error} {one.hint}".strip()
        for one in report.credentials
        if not is_good(one)
    ]


def summary(cluster: Cluster, report: Report) -> str:
    """`staging: 12 of 12 valid, 3 renewed`."""
    good = sum(1 for one in report.credentials if is_good(one))
    renewed = sum(1 for one in report.done if one.result == "written")
    return f"{cluster.slug}: {good} of {len(report.credentials)} in order, {renewed} renewed"


def facts(cluster: Cluster, report: Report) -> dict[str, Any]:
    """The result for --json. Scripts rely on these keys."""
    return {
        "cluster": cluster.slug,
        "error": report.fault.sentence if report.fault else "",
        "renewed": sum(1 for one in report.done if one.result == "written"),
        "credentials": [of_one(one) for one in report.credentials],
    }


def of_one(row: Credential) -> dict[str, Any]:
    """One credential for --json."""
    return {
        "namespace": row.namespace,
        "secret": row.secret_name,
        "state": row.state,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "proven_by": row.proven_by,
        "error": row.last_error,
    }
