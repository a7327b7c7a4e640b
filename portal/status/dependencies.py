"""The outside systems that the portal needs, and what was last heard from each, as rows of the status page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from core.models import Contact
from core.status import Row, registered_rows
from projects import contacts
from projects.current import current_environments
from projects.models import Cluster, Project, Registry, SecretsFile

CLUSTERS, AWS, REGISTRIES, GIT = "Clusters", "AWS", "Registries", "Git hosts"
SLACK, GITHUB = "Slack", "GitHub"
OLD = timedelta(minutes=15)  # a last answer that says nothing about now
REMEDIES = {
    CLUSTERS: "Look at the cluster, its kubeconfig and the network. Its deploys wait or end with an error; other clusters work.",
    AWS: "Check the portal's credentials for AWS, its clock and the network. Deploys with secrets files fail until then.",
    REGISTRIES: "Check the registry and the network. Running pods stay; new ones may not get their images.",
    GIT: "Check the host and the network. Deploys of known releases (rollbacks) need no Git.",
    SLACK: "Check SLACK_BOT_TOKEN and the network. Deploys go on; messages wait in the outbox and are sent later.",
    GITHUB: "Check GITHUB_TOKEN, GITHUB_API_URL and the network. Builds and deploys go on; statuses wait in the outbox.",
}


def contact_names() -> list[str]:
    """The names of all contacts that the settings of this portal call for, without clusters."""
    secrets_files = SecretsFile.objects.filter(current_environments())
    regions = {*_regions(secrets_files), *_regions(Registry.objects.current())}
    hosts = [registry.host for registry in Registry.objects.current()]
    return [
        *(contacts.name_of(contacts.AWS, region) for region in sorted(regions)),
        *(contacts.name_of(contacts.REGISTRY, host) for host in hosts),
        *sorted({contacts.git_host(project) for project in _projects()}),
        *([contacts.SLACK] if settings.SLACK_BOT_TOKEN else []),
        *([contacts.GITHUB] if settings.GITHUB_TOKEN else []),
    ]


def _regions(rows: QuerySet) -> list[str]:
    return list(rows.order_by().values_list("region", flat=True).distinct())


def _projects() -> Iterable[Project]:
    return Project.objects.current().only("repository_url").order_by("pk")


def rows() -> list[Row]:
    """One row for each outside system, by group, and those of apps that registered some."""
    heard = contacts.heard()
    return [
        *_clusters(),
        *(_of_contact(name, heard.get(name)) for name in contact_names()),
        *registered_rows(),
    ]


def _clusters() -> Iterable[Row]:
    for cluster in Cluster.objects.current():
        state = _state(cluster.last_error, cluster.last_seen is None)
        yield Row(
            CLUSTERS, cluster.name, state,
            sentence=_SENTENCES[state], error=cluster.last_error, remedy=REMEDIES[CLUSTERS] if cluster.last_error else "",
            answered_at=cluster.last_seen, url=reverse("projects:cluster", args=[cluster.slug]),
        )  # fmt: skip


_GROUPS = {
    contacts.AWS: AWS, contacts.REGISTRY: REGISTRIES, contacts.GIT: GIT, contacts.SLACK: SLACK,
    contacts.GITHUB: GITHUB,
}  # fmt: skip
_SENTENCES = {
    "reachable": "Answers.",
    "unreachable": "Did not answer when last asked.",
    "unknown": "Not asked yet; a worker asks within some minutes.",
}


def _of_contact(name: str, heard: Contact | None) -> Row:
    kind, _, address = name.partition(" ")
    group = _GROUPS[kind]
    if heard is None:
        return Row(group, address or group, "unknown", sentence=_SENTENCES["unknown"])
    state = _state(heard.error, False)
    old = not heard.error and timezone.now() - heard.tried_at > OLD
    remedy = f"{heard.hint} {REMEDIES[group]}".strip() if heard.error else ""
    return Row(
        group, address or group, "unknown" if old else state,
        sentence="Not heard of for a while; are scheduler and workers running?" if old else _SENTENCES[state],
        error=heard.error, remedy=remedy, answered_at=heard.answered_at, failed_at=heard.failed_at,
    )  # fmt: skip


def _state(error: str, is_new: bool) -> str:
    return "unreachable" if error else "unknown" if is_new else "reachable"


WORST = ("unreachable", "failed", "warning", "unknown", "reachable")


def for_others(found: Sequence[Row]) -> list[Row]:
    """One row for each group of outside systems, for people who are no admins: without names, addresses and errors."""
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(row.group, []).append(row)
    return [_summed(group, of_group) for group, of_group in groups.items()]


def _summed(group: str, found: Sequence[Row]) -> Row:
    well = sum(row.state in _WELL for row in found)
    worst = min((row.state for row in found), key=lambda state: WORST.index(state) if state in WORST else 1)
    times = [row.answered_at for row in found if row.answered_at]
    verb = "answer" if group in REMEDIES else "are well"
    sentence = f"{well} of {len(found)} {verb}." if len(found) > 1 else found[0].sentence
    remedy = next((row.remedy for row in found if row.remedy), "")  # pages show it to admins only
    return Row(group, group, worst, sentence=sentence, remedy=remedy, answered_at=max(times, default=None))


_WELL = {"reachable", "healthy", "valid", "ready", "succeeded", "ok"}
