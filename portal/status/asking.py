"""Asks outside systems that the portal has not asked for some minutes by its own work. A tick starts one job for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from adapters.aws import identity
from adapters.errors import ExternalError, TimedOut, Unavailable
from adapters.github import GitHub
from adapters.registry import Registry as RegistryClient
from adapters.slack import Slack
from core.jobs import enqueue, slot
from engine.errors import SlipwayError
from portal.status import dependencies
from projects import contacts, reachability
from projects.connections import git_repository, hasty_client
from projects.models import Cluster, Project, Registry

QUIET_SECONDS = 180.0
LOOK_SECONDS = 60.0
GIT_SECONDS = 10.0
# each beside the other jobs that ask that system
_QUEUES = {contacts.SLACK: "messages", contacts.GITHUB: "messages", contacts.GIT: "git"}


def ask_quiet() -> None:
    """Tick: enqueues a job for each system without a noted request for QUIET_SECONDS."""
    heard = contacts.heard_within(QUIET_SECONDS)
    for name in dependencies.contact_names():
        if name not in heard:
            queue = _QUEUES.get(name.partition(" ")[0], "short")
            enqueue("portal.status.asking.ask", name, queue=queue, job_id=f"ask-{_digest(name)}-{slot(60)}")
    quiet = Q(last_seen=None) | Q(last_seen__lt=timezone.now() - timedelta(seconds=QUIET_SECONDS))
    for pk in Cluster.objects.current().filter(quiet).values_list("pk", flat=True):
        enqueue("portal.status.asking.ask_cluster", pk, queue="live", job_id=f"ask-cluster-{pk}-{slot(60)}")


def _digest(name: str) -> str:
    """Letters and digits for a job's id."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def ask(name: str) -> None:
    """Job: asks one system, and notes whether it answered. `name`: of the contact."""
    kind, _, address = name.partition(" ")
    try:
        _ASK[kind](address)
    except ExternalError as error:
        contacts.note_error(name, error, strict=True)
    else:
        contacts.note_answer(name)


def _ask_slack(_: str) -> None:
    Slack(settings.SLACK_BOT_TOKEN, base_url=settings.SLACK_API_URL).check()


def _ask_github(_: str) -> None:
    GitHub(settings.GITHUB_TOKEN, settings.GITHUB_API_URL).check()


def _ask_registry(host: str) -> None:
    found = next((row for row in Registry.objects.current() if row.host == host), None)
    if found is not None:
        RegistryClient(found.endpoint).answer()


def _ask_git(host: str) -> None:
    """By one project. A host that refuses this project's credential answers."""
    name = contacts.name_of(contacts.GIT, host)
    found = next(
        (row for row in Project.objects.current().order_by("pk") if contacts.git_host(row) == name), None
    )
    try:
        if found is not None:
            git_repository(found).check(timeout=GIT_SECONDS)
    except (Unavailable, TimedOut):
        raise
    except ExternalError:
        return


def _ask_aws(region: str) -> None:
    identity.caller(region)


_ASK: dict[str, Callable[[str], None]] = {
    contacts.SLACK: _ask_slack,
    contacts.GITHUB: _ask_github,
    contacts.REGISTRY: _ask_registry,
    contacts.GIT: _ask_git,
    contacts.AWS: _ask_aws,
}


def ask_cluster(cluster_id: int) -> None:
    """Job: asks a cluster for its version, unless it did not answer a moment ago."""
    cluster = Cluster.objects.current().filter(pk=cluster_id).first()
    if cluster is None or reachability.why_down(cluster_id) is not None:
        return
    try:
        client = hasty_client(cluster, purpose="status")
        try:
            client.probe()
        finally:
            client.close()
    except SlipwayError as error:
        reachability.note_failure(cluster, error)
    else:
        reachability.note_cluster(cluster, "")
