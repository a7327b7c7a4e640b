"""Which deploy used which version: written by deploys when they are about to apply, and when they have succeeded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone

from engine.manifests.masking import values_of
from projects.access import visible_filter
from projects.models import Environment, SecretsFile
from projects.secret_files import Fetched
from secrets_ui.known.public import public_values
from secrets_ui.known.reading import keep
from secrets_ui.known.secrets import find_version, note_address, secrets_by_file
from secrets_ui.models import Secret, SecretVersion, VersionUse


def note_use(
    environment: Environment, deploy_number: int, fetched: Sequence[Fetched], *, pinned: bool
) -> None:
    """Keeps which versions a deploy is about to apply, and what may be shown of them. Idempotent.

    `pinned`: they are those of a stored release, not the newest ones.
    """
    files = {file.path: file for file in environment.secrets_files.all()}
    known = secrets_by_file(list(files.values()))
    for one in fetched:
        file = files.get(one.path)
        secret = known.get(file.pk) if file is not None else None
        if secret is None and file is not None and one.arn:
            secret = _first_seen(file, one)
        if secret is None:
            continue
        _keep_content(secret, one, pinned=pinned)
        VersionUse.objects.get_or_create(
            secret=secret,
            version_id=one.version_id,
            deploy_number=deploy_number,
            defaults={"environment": environment, "environment_text": environment.label},
        )


def _first_seen(file: SecretsFile, one: Fetched) -> Secret:
    """The row of a secret that no page has asked for yet. Which version is current is not known by this."""
    secret, _ = Secret.objects.get_or_create(
        arn=one.arn, defaults={"region": file.region, "name": file.secret_id}
    )
    note_address(file, secret)
    return secret


def _keep_content(secret: Secret, one: Fetched, *, pinned: bool) -> None:
    row = find_version(secret, one.version_id, is_newest=not pinned)
    if row.keys is None:
        bodies = [document.body for document in one.documents]
        names = ["" if one.flat else str(body["metadata"]["name"]) for body in bodies]
        keep(row, [
            fact
            for name, body in zip(names, bodies, strict=True)
            for fact in public_values(secret.arn, name, dict(values_of(body)))
        ])  # fmt: skip


def note_served(deploy_number: int) -> None:
    """The deploy has succeeded: what runs in its environment now has these versions."""
    VersionUse.objects.filter(deploy_number=deploy_number).update(served_at=timezone.now())


def serving(environment: Environment, secrets: Iterable[Secret]) -> dict[int, VersionUse]:
    """The newest use of a deploy that succeeded, by the secret's pk."""
    rows = VersionUse.objects.filter(
        environment=environment, secret__in=list(secrets), served_at__isnull=False
    )
    found: dict[int, VersionUse] = {}
    for row in rows.order_by("-served_at", "-deploy_number")[:200]:
        found.setdefault(row.secret_id, row)
    return found


def uses_of(user: Any, secret: Secret, version_ids: Sequence[str]) -> Mapping[str, list[VersionUse]]:
    """The deploys that used these versions, the newest first; of another environment that reads the secret only where the
    person may see its project."""
    found: dict[str, list[VersionUse]] = {}
    rows = VersionUse.objects.filter(visible_filter(user), secret=secret, version_id__in=version_ids)
    for row in rows.order_by("-deploy_number")[:500]:
        found.setdefault(row.version_id, []).append(row)
    return found


def served_keys(uses: Iterable[VersionUse]) -> dict[int, SecretVersion]:
    """The versions that run, with what may be shown of them, by the secret's pk; only those that were read."""
    wanted = {(use.secret_id, use.version_id) for use in uses}
    rows = SecretVersion.objects.filter(
        secret__in={pk for pk, _ in wanted},
        version_id__in={version for _, version in wanted},
        keys__isnull=False,
    )
    return {row.secret_id: row for row in rows if (row.secret_id, row.version_id) in wanted}
