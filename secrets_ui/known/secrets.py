"""The rows of secrets: which secret a secrets file names, what AWS said of it last, and versions that were found there."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from adapters.aws.secrets_manager import SecretFacts
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
    wanted = Q(pk=None)
    for named, region, role in secret.addresses.values_list("named", "region", "role_arn"):
        wanted |= Q(secret_id=named, region=region, role_arn=role)
    return _with_environments(wanted)


def files_named_like(file: SecretsFile) -> list[SecretsFile]:
    """Every secrets file with the same name, region and role: all that is known while AWS has not told of the secret."""
    return files_named(file.region, file.role_arn, file.secret_id)


def files_named(region: str, role_arn: str, named: str) -> list[SecretsFile]:
    """Every secrets file that names a secret so."""
    return _with_environments(Q(secret_id=named, region=region, role_arn=role_arn))


def _with_environments(wanted: Q) -> list[SecretsFile]:
    return list(
        SecretsFile.objects.filter(wanted)
        .select_related("environment__project", "environment__cluster")
        .defer("environment__project__credential", "environment__cluster__kubeconfig")
    )


def note_facts(file: SecretsFile, facts: SecretFacts) -> Secret:
    """Keeps what AWS said of a file's secret; a version that nobody saved here gets a row of its own."""
    with transaction.atomic():
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
    Secret.objects.bulk_update({secret.pk: secret for secret, _ in pairs}.values(), fields)
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
    row = SecretVersion.objects.filter(secret=secret, version_id=version_id).first()
    if row is not None:
        return row
    before = stored_versions(secret).values_list("version_id", flat=True).first() if is_newest else ""
    made, _ = SecretVersion.objects.get_or_create(
        secret=secret,
        version_id=version_id,
        defaults={
            "state": STATE.STORED, "source": SOURCE.OUTSIDE, "base_version": before or "", "stored_at": timezone.now(),
        },
    )  # fmt: skip
    return made


def stored_versions(secret: Secret) -> QuerySet[SecretVersion]:
    """The versions that came to be, the newest first."""
    return SecretVersion.objects.filter(secret=secret, state=STATE.STORED).order_by("-id")


def note_failures(failures: Sequence[tuple[Secret, str, bool]]) -> None:
    """AWS gave no facts: the last ones stay, with the reason, and whether it is that the secret is gone; one query. An AWS
    that does not answer does not bring a secret back that was gone."""
    for secret, error, is_gone in failures:
        secret.tried_at, secret.error = timezone.now(), error
        secret.gone_at = secret.gone_at or (timezone.now() if is_gone else None)
    rows = {secret.pk: secret for secret, _, _ in failures}.values()
    Secret.objects.bulk_update(rows, ["tried_at", "error", "gone_at"])
