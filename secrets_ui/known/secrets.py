"""The rows of secrets: which secret a secrets file names, what AWS said of it last, and versions that were found there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from adapters.aws.secrets_manager import SecretFacts
from projects.current import current_environments
from projects.models import SecretsFile
from secrets_ui.models import Secret, SecretAddress, SecretVersion

SOURCE, STATE = SecretVersion.Source, SecretVersion.State


def secrets_by_file(files: Sequence[SecretsFile]) -> dict[int, Secret]:
    """The secret of each file that was seen in AWS, by the file's pk; one query."""
    if not files:
        return {}
    wanted = Q()
    for file in files:
        wanted |= Q(region=file.region, role_arn=file.role_arn, named=file.secret_id)
    rows = SecretAddress.objects.filter(wanted).select_related("secret")
    known = {(row.region, row.role_arn, row.named): row.secret for row in rows}
    found = {file.pk: known.get((file.region, file.role_arn, file.secret_id)) for file in files}
    return {pk: secret for pk, secret in found.items() if secret is not None}


def secret_of(file: SecretsFile) -> Secret | None:
    """The secret that a file names, if it was seen."""
    return secrets_by_file([file]).get(file.pk)


def files_of(secret: Secret) -> list[SecretsFile]:
    """Every secrets file that names this secret, of whatever project."""
    return _with_environments(SecretsFile.objects.filter(_naming(secret)))


def files_elsewhere(file: SecretsFile, secret: Secret | None) -> list[SecretsFile]:
    """The secrets files of other environments, archived ones left out, that name the secret of this one. Without `secret`, those
    with the same name, region and role: all that is known while AWS has not told of the secret."""
    like_it = Q(secret_id=file.secret_id, region=file.region, role_arn=file.role_arn)
    found = SecretsFile.objects.filter(_naming(secret) if secret is not None else like_it)
    others = found.filter(current_environments()).exclude(environment=file.environment_id)
    return _with_environments(others) if others.exists() else []  # mostly there is none, which is soon known


def files_named(region: str, role_arn: str, named: str) -> list[SecretsFile]:
    """Every secrets file that names a secret so."""
    return _with_environments(SecretsFile.objects.filter(secret_id=named, region=region, role_arn=role_arn))


def _naming(secret: Secret) -> Exists:
    return Exists(
        SecretAddress.objects.filter(
            secret=secret,
            named=OuterRef("secret_id"),
            region=OuterRef("region"),
            role_arn=OuterRef("role_arn"),
        )
    )


def _with_environments(files: QuerySet[SecretsFile]) -> list[SecretsFile]:
    return list(files.select_related("environment__project", "environment__cluster"))


def note_facts(file: SecretsFile, facts: SecretFacts, secret: Secret | None = None) -> Secret:
    """Keeps what AWS said of a file's secret; a version that nobody saved here gets a row of its own. `secret`: the one that
    the file is known to name."""
    secret = secret or secret_of(file)
    with transaction.atomic():
        if secret is None or secret.arn != facts.arn:
            secret, _ = Secret.objects.get_or_create(
                arn=facts.arn, defaults={"region": file.region, "name": facts.name}
            )
            note_address(file, secret)
        refresh([(secret, facts)])
    return secret


def refresh(pairs: Sequence[tuple[Secret, SecretFacts]]) -> None:
    """Stores AWS's facts in existing rows: one query, and some for each secret with a new version."""
    moved = []
    for secret, facts in pairs:
        if facts.current_version not in ("", secret.current_version):
            moved.append((secret, facts.current_version))
        secret.name, secret.current_version = facts.name, facts.current_version
        secret.labels = {version: list(labels) for version, labels in facts.versions.items()}
        secret.deleted_at, secret.gone_at, secret.error = facts.deleted_at, None, ""
        secret.described_at = secret.tried_at = timezone.now()
    fields = ["name", "current_version", "labels", "deleted_at", "gone_at", "described_at", "tried_at", "error"]  # fmt: skip
    secrets = {secret.pk: secret for secret, _ in pairs}
    if len(secrets) == 1:  # for which bulk_update takes several times as long
        (secret,) = secrets.values()
        Secret.objects.filter(pk=secret.pk).update(**{name: getattr(secret, name) for name in fields})
    else:
        Secret.objects.bulk_update(secrets.values(), fields)
    for secret, version in moved:
        find_version(secret, version)


def note_address(file: SecretsFile, secret: Secret) -> None:
    """The name or ARN in a file's settings stands for this secret."""
    SecretAddress.objects.update_or_create(
        region=file.region, role_arn=file.role_arn, named=file.secret_id, defaults={"secret": secret}
    )


def find_version(secret: Secret, version_id: str, *, is_newest: bool = True) -> SecretVersion:
    """The row of a version that AWS holds; made here for one that came from outside.

    Its base is what was stored last, so that what it changed can be told once both are read; `is_newest`: unless it is an
    old one that a rollback brought up.
    """

    def newest() -> str:
        return stored_versions(secret).values_list("version_id", flat=True).first() or ""

    made: dict[str, Any] = {
        "state": STATE.STORED, "source": SOURCE.OUTSIDE, "base_version": newest if is_newest else "",
        "stored_at": timezone.now,
    }  # fmt: skip
    row, _ = SecretVersion.objects.get_or_create(secret=secret, version_id=version_id, defaults=made)
    return row


def stored_versions(secret: Secret) -> QuerySet[SecretVersion]:
    """The versions that came to be, the newest first."""
    return SecretVersion.objects.filter(secret=secret, state=STATE.STORED).order_by("-id")


def current_versions(secrets: Sequence[Secret]) -> dict[int, SecretVersion]:
    """The current version of each secret, with what may be shown of it; one query."""
    wanted = {(secret.pk, secret.current_version) for secret in secrets}
    found = SecretVersion.objects.filter(
        secret__in=[pk for pk, _ in wanted], version_id__in=[version for _, version in wanted]
    )
    return {row.secret_id: row for row in found if (row.secret_id, row.version_id) in wanted}


def note_failures(failures: Sequence[tuple[Secret, str, bool]]) -> None:
    """AWS gave no facts: the last ones stay, with the reason, and whether it is that the secret is gone; one query. An AWS
    that does not answer does not bring a secret back that was gone."""
    for secret, error, is_gone in failures:
        secret.tried_at, secret.error = timezone.now(), error
        secret.gone_at = secret.gone_at or (timezone.now() if is_gone else None)
    rows = {secret.pk: secret for secret, _, _ in failures}.values()
    Secret.objects.bulk_update(rows, ["tried_at", "error", "gone_at"])
