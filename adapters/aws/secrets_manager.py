"""AWS Secrets Manager: which version of a secrets file is current, and the text of one version.

Every read names a version or the label AWSCURRENT, because AWS does not document that a read without either follows a
moved label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.aws.secret_errors import SYSTEM, Gone, deleted, reading, version_deleted
from adapters.aws.session import PATIENT, Access, Limits, client
from adapters.aws.waiting import in_time
from adapters.errors import ExternalError, Invalid, NotFound

CURRENT = "AWSCURRENT"


@dataclass(frozen=True)
class SecretText:
    """One version of a secret. `text` is the value: it is kept out of `repr`, logs and errors."""

    version_id: str
    text: str = field(repr=False)
    created_at: datetime
    arn: str = ""


@dataclass(frozen=True)
class SecretFacts:
    """Metadata of a secret. `current_version` is empty while the secret has no value."""

    name: str
    arn: str
    current_version: str
    changed_at: datetime | None
    kms_key: str  # empty: AWS's own key
    versions: dict[str, tuple[str, ...]]  # VersionId → labels, of the labelled versions
    deleted_at: datetime | None  # scheduled for deletion since


class SecretsManager:
    """The secrets of one region, as the portal's own identity or an assumed role."""

    def __init__(
        self, region: str, role_arn: str = "", endpoint_url: str | None = None, *, limits: Limits = PATIENT
    ) -> None:
        self._access = Access(region, role_arn, endpoint_url, limits)

    def current_version(self, secret_id: str) -> str:
        """The VersionId that AWSCURRENT is on, without reading any value. Raises NotFound when there is none."""
        facts = self.describe(secret_id)
        if facts.deleted_at:
            raise deleted(secret_id)
        if not facts.current_version:
            hint = "Store its first version."
            raise NotFound(f"The secret “{secret_id}” holds no value yet.", system=SYSTEM, hint=hint)
        return facts.current_version

    def describe(self, secret_id: str) -> SecretFacts:
        """Facts for settings pages. Also of a secret that is scheduled for deletion. Raises NotFound."""
        with reading(secret_id, self._access):
            return _facts(self._reader().describe_secret(SecretId=secret_id))

    def exists(self, secret_id: str) -> bool:
        """Whether the secret exists and is not scheduled for deletion. Raises ExternalError for failures other than
        NotFound."""
        try:
            return self.describe(secret_id).deleted_at is None
        except NotFound:
            return False

    def get(self, secret_id: str, version_id: str = "") -> SecretText:
        """The text of a version (VersionId), or of the current one. Raises NotFound, Denied, Invalid for binary."""
        try:
            return self._get(secret_id, version_id)
        except Gone as error:
            if version_id and self._lives(secret_id):
                raise version_deleted(secret_id, version_id) from None
            raise error from None

    def _lives(self, secret_id: str) -> bool:
        """The secret is there, so that only one version of it is gone. What cannot be told counts as no."""
        try:
            return self.exists(secret_id)
        except ExternalError:
            return False

    def _get(self, secret_id: str, version_id: str) -> SecretText:
        which = {"VersionId": version_id} if version_id else {"VersionStage": CURRENT}
        with reading(secret_id, self._access, version_id):
            answer = self._reader().get_secret_value(SecretId=secret_id, **which)
            if "SecretBinary" not in answer:
                created = answer["CreatedDate"].astimezone(UTC)
                return SecretText(answer["VersionId"], answer["SecretString"], created, answer["ARN"])
        hint = (
            "Store the secrets file as text (SecretString), as it stands in the repository, with its values."
        )
        message = f"The secret “{secret_id}” holds binary data; a secrets file is text."
        raise Invalid(message, system=SYSTEM, hint=hint)

    def _client(self) -> Any:
        return client("secretsmanager", self._access)

    def _reader(self) -> Any:
        return client("secretsmanager", in_time(self._access))


def _facts(answer: dict[str, Any]) -> SecretFacts:
    # moto lists versions without labels, AWS does not.
    versions = {v: tuple(labels) for v, labels in answer.get("VersionIdsToStages", {}).items() if labels}
    return SecretFacts(
        name=answer["Name"],
        arn=answer["ARN"],
        current_version=next((v for v, labels in versions.items() if CURRENT in labels), ""),
        changed_at=_utc(answer.get("LastChangedDate")),
        kms_key=answer.get("KmsKeyId", ""),
        versions=versions,
        deleted_at=_utc(answer.get("DeletedDate")),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
