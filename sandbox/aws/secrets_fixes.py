"""Patches moto's Secrets Manager, by wrapping its backend, where it differs from AWS in a way that affects the portal.

Sources of the rules: the API text of botocore's `secretsmanager` model.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    SecretNotFoundException,
    SecretsManagerClientError,
    ValidationException,
)
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend
from moto.secretsmanager.responses import SecretsManagerResponse

from sandbox.aws import secrets_quotas
from sandbox.aws.mending import Method, mend, replace

VALUE_LIMIT = 65_536  # bytes of the whole value (SecretString: "maximum length of 65536")
PAGE = 100
CURRENT = "AWSCURRENT"
_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}\Z")


def install() -> None:
    """Applies all patches. Call it once, before the server answers."""
    backend = SecretsManagerBackend
    for name in ("create_secret", "update_secret", "put_secret_value"):
        mend(backend, name, _checks_value)
    mend(backend, "put_secret_value", _puts)
    mend(backend, "update_secret_version_stage", _moves_label)
    mend(backend, "create_secret", _creates)
    secrets_quotas.install()
    replace(FakeSecret, "_form_version_ids_to_stages", _labelled_versions)
    replace(SecretsManagerResponse, "list_secret_version_ids", _list_secret_version_ids)
    # AWS answers 400 for a missing secret, moto 404. Clients that look only at the status need AWS's.
    mend(SecretsManagerClientError, "__init__", _answers_400)


def _checks_value(original: Method) -> Method:
    """One value, of at most 65,536 bytes."""

    def checked(self: Any, *args: Any, **given: Any) -> Any:
        text, binary = given.get("secret_string"), given.get("secret_binary")
        if text is not None and binary is not None:
            raise InvalidParameterException(
                "You can't specify both a binary secret value and a string secret value."
            )
        name, value = ("secretBinary", binary) if text is None else ("secretString", text)
        if len((value or "").encode()) > VALUE_LIMIT:
            raise ValidationException(
                f"1 validation error detected: Value at '{name}' failed to satisfy constraint: "
                f"Member must have length less than or equal to {VALUE_LIMIT}"
            )
        return original(self, *args, **given)

    return checked


def _creates(original: Method) -> Method:
    """CreateSecret: the name's characters; a name that waits for its deletion is not free."""

    def create(self: Any, *args: Any, **given: Any) -> Any:
        if not _NAME.match(given["name"]):
            raise ValidationException(
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
            )
        known = self.secrets.get(given["name"])
        if known is not None and known.is_deleted():
            raise InvalidRequestException(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        return original(self, *args, **given)

    return create


def _puts(original: Method) -> Method:
    """PutSecretValue: refused on a secret marked deleted; a label sits on one version only."""

    def put(self: Any, *args: Any, **given: Any) -> Any:
        secret = self.secrets.get(given["secret_id"])
        if secret is not None and secret.is_deleted():
            raise InvalidRequestException(
                "You can't perform this operation on the secret because it was marked for deletion."
            )
        known = set(secret.versions) if secret is not None else set()
        answer = original(self, *args, **given)
        if secret is not None:
            for version_id in set(secret.versions) - known:
                _keep_labels_apart(secret, version_id)
        return answer

    return put


def _keep_labels_apart(secret: Any, newest: str) -> None:
    """Takes the labels of version `newest` from every other version."""
    labels = set(secret.versions[newest]["version_stages"])
    for version_id, version in secret.versions.items():
        if version_id != newest:
            version["version_stages"] = [label for label in version["version_stages"] if label not in labels]


def _moves_label(original: Method) -> Method:
    """UpdateSecretVersionStage: moves a label away only from the named version; a read returns AWSCURRENT.

    moto does not update its `default_version_id`: a read without a label then returned the old value, and the next put
    left two versions with AWSCURRENT.
    """

    def move(
        self: Any,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str | None,
        move_to_version_id: str | None,
    ) -> Any:
        secret = self.secrets.get(secret_id)
        if secret is not None and move_to_version_id and move_to_version_id not in secret.versions:
            # Before anything else: moto takes the label away first, and leaves the secret without a current version.
            raise InvalidParameterException(f"Not a valid version: {move_to_version_id}")
        holder = _holder(secret, version_stage) if secret is not None else None
        if move_to_version_id and holder not in (None, move_to_version_id, remove_from_version_id):
            raise InvalidParameterException(
                f"The parameter RemoveFromVersionId can't be empty or differ from the holder. Staging "
                f"label {version_stage} is currently attached to version {holder}, so you must explicitly reference "
                "that version in RemoveFromVersionId."
            )
        answer = original(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
        if version_stage == CURRENT and move_to_version_id and secret is not None:
            secret.default_version_id = move_to_version_id
        return answer

    return move


def _holder(secret: Any, label: str) -> str | None:
    return next((v for v, version in secret.versions.items() if label in version["version_stages"]), None)


def _labelled_versions(self: FakeSecret) -> dict[str, list[str]]:
    """DescribeSecret and ListSecrets name only versions that carry a label."""
    return {v: version["version_stages"] for v, version in self.versions.items() if version["version_stages"]}


def _list_secret_version_ids(self: SecretsManagerResponse) -> str:
    """ListSecretVersionIds with IncludeDeprecated, MaxResults, NextToken, the true ARN and the true dates."""
    secret = self.backend.secrets.get(self._get_param("SecretId"))
    if secret is None:
        raise SecretNotFoundException()
    deprecated_too = self._get_bool_param("IncludeDeprecated", False)
    versions = [_version(v) for v in secret.versions.values() if v["version_stages"] or deprecated_too]
    start = int(self._get_param("NextToken") or 0)
    end = start + int(self._get_param("MaxResults") or PAGE)
    answer = {"ARN": secret.arn, "Name": secret.name, "Versions": versions[start:end]}
    if end < len(versions):
        answer["NextToken"] = str(end)
    return json.dumps(answer)


def _version(version: dict[str, Any]) -> dict[str, Any]:
    entry = {"VersionId": version["version_id"], "CreatedDate": version["createdate"]}
    if version["version_stages"]:
        entry["VersionStages"] = version["version_stages"]
    return entry


def _answers_400(original: Method) -> Method:
    def initialise(self: SecretsManagerClientError, *args: Any, **given: Any) -> None:
        self.code = 400
        original(self, *args, **given)

    return initialise
