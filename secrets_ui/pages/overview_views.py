"""All environments whose secrets a person may see, with what needs attention. Asks nobody outside; Git's mirrors are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from projects.access import visible_projects
from projects.current import current_environments
from projects.models import Environment, SecretsFile
from secrets_ui.known.looking import Look
from secrets_ui.known.public import keys_of
from secrets_ui.known.reference import Reference, newest_references
from secrets_ui.known.secrets import current_versions, secrets_by_file
from secrets_ui.known.uses import served_keys
from secrets_ui.models import Secret, SecretVersion, VersionUse
from secrets_ui.pages.rows import Counts, counts, rows
from secrets_ui.pages.views_of_files import is_flat
from secrets_ui.requests.counting import to_approve
from secrets_ui.requests.lists import waiting_counts


@dataclass(frozen=True)
class Line:
    """One secrets file of one environment."""

    file: SecretsFile
    look: Look
    version: SecretVersion | None
    counts: Counts
    reference: Reference
    waiting: int = 0

    @property
    def trouble(self) -> str:
        """What AWS said of the secret last, as the word of a state, where deploys cannot read it; empty where they can."""
        secret = self.look.secret
        if secret is None:
            return ""
        if secret.gone_at is not None:
            return "deleted"
        if secret.deleted_at is not None:
            return "to be deleted"
        return "unreachable" if secret.error else "no value yet" if not secret.current_version else ""

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look at a key, or at the secret as a whole."""
        failed = self.version is not None and bool(self.version.error)
        return bool(self.counts.attention or self.trouble or failed or not self.look.secret)


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The list, by project and environment."""
    found = lines(request.user)
    only = request.GET.get("show") == "attention"
    needing = [line for line in found if line.needs_attention]
    context = {
        "lines": needing if only else found, "all": len(found), "attention": len(needing),
        "show": "attention" if only else "", "to_approve": to_approve(request.user),
    }  # fmt: skip
    return render(request, "secrets_ui/overview.html", context)


def lines(user: Any) -> list[Line]:
    """Every secrets file that the person may see."""
    files = list(
        SecretsFile.objects.filter(current_environments(), environment__project__in=visible_projects(user))
        .select_related("environment__project")
        .prefetch_related("environment__secrets_files")
        .order_by("environment__project__name", "environment__order", "path")
    )
    known = secrets_by_file(files)
    versions = current_versions(list(known.values()))
    served = _serving(files, known)
    references = _references(files, known)
    asked = waiting_counts(known.values())
    found = [
        _line(file, known.get(file.pk), versions, served, references[file.environment_id]) for file in files
    ]
    return [
        replace(line, waiting=asked.get(line.look.secret.pk, 0) if line.look.secret else 0) for line in found
    ]


def _references(files: list[SecretsFile], known: dict[int, Secret]) -> dict[int, Reference]:
    """The reference files of each environment at the newest revision; from the cache where they were read before."""
    environments = {file.environment_id: file.environment for file in files}
    return newest_references([(place, _arns(place, files, known)) for place in environments.values()])


def _arns(place: Environment, files: list[SecretsFile], known: dict[int, Secret]) -> dict[str, str]:
    return {
        file.path: known[file.pk].arn
        for file in files
        if file.environment_id == place.pk and file.pk in known
    }


def _serving(files: list[SecretsFile], known: dict[int, Secret]) -> dict[tuple[int, int], SecretVersion]:
    """The version that runs, by environment and secret; two queries."""
    environments = {file.environment_id for file in files}
    secrets = {secret.pk for secret in known.values()}
    uses = VersionUse.objects.filter(
        environment__in=environments, secret__in=secrets, served_at__isnull=False
    )
    newest: dict[tuple[int, int], VersionUse] = {}
    for use in uses.order_by("served_at", "deploy_number"):
        newest[use.environment_id or 0, use.secret_id] = use
    read = served_keys(newest.values())
    return {place: read[place[1]] for place, use in newest.items() if _is(read.get(place[1]), use)}


def _is(row: SecretVersion | None, use: VersionUse) -> bool:
    return row is not None and row.version_id == use.version_id


def _line(
    file: SecretsFile, secret: Secret | None, versions: dict[int, SecretVersion],
    served: dict[tuple[int, int], SecretVersion], reference: Reference,
) -> Line:  # fmt: skip
    version = versions.get(secret.pk) if secret else None
    if version is None or version.keys is None or secret is None:
        return Line(file, Look(secret), version, Counts(), reference)
    keys, runs = keys_of(version.keys), served.get((file.environment_id, secret.pk))
    found = rows(
        keys, reference.wanted.get(file.path), reference=reference, flat=is_flat(keys),
        serving=keys_of(runs.keys) if runs else None,
    )  # fmt: skip
    return Line(file, Look(secret), version, counts(found), reference)
