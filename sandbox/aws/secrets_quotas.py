"""Secrets Manager's quotas for labels and versions of a secret, and the removal of old versions, which moto lacks.

Sources: the API text of botocore's `secretsmanager` model and AWS's page on quotas.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    SecretsManagerClientError,
)
from moto.secretsmanager.models import SecretsManagerBackend

from sandbox.aws.mending import Method, mend

LABELS = 20  # over all versions of a secret
LABEL_LENGTH = 256
VERSIONS = 100  # AWS keeps about this number
YOUNG = 24 * 3600  # seconds for which no version is removed
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
REMOVED = "removed_versions"  # attribute of moto's secret: ids of versions that were cleaned up


class _LimitExceeded(SecretsManagerClientError):
    def __init__(self, what: str) -> None:
        message = f"The request failed because it would exceed one of the Secrets Manager quotas: {what}."
        super().__init__("LimitExceededException", message)


def install() -> None:
    """Adds the quotas to moto. Call it once."""
    backend = SecretsManagerBackend
    mend(backend, "put_secret_value", _put_within_quotas)
    mend(backend, "update_secret", _update_within_quotas)
    mend(backend, "update_secret_version_stage", _label_within_quota)
    mend(backend, "get_secret_value", _reads_no_removed)


def _put_within_quotas(original: Method) -> Method:
    def put(self: Any, *args: Any, **given: Any) -> Any:
        secret = self.secrets.get(given["secret_id"])
        if secret is not None and not secret.is_deleted():
            labels = given.get("version_stages") or [CURRENT]
            if given.get("client_request_token") not in secret.versions:
                _check_labels(secret, labels)
                _make_room(secret)
        return original(self, *args, **given)

    return put


def _update_within_quotas(original: Method) -> Method:
    """UpdateSecret: writes a version only when the request has a value."""

    def update(self: Any, *args: Any, **given: Any) -> Any:
        secret = self.secrets.get(given["secret_id"])
        has_value = given.get("secret_string") is not None or given.get("secret_binary") is not None
        if secret is not None and has_value and not secret.is_deleted():
            _make_room(secret)
        return original(self, *args, **given)

    return update


def _label_within_quota(original: Method) -> Method:
    def move(
        self: Any,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str | None,
        move_to_version_id: str | None,
    ) -> Any:
        secret = self.secrets.get(secret_id)
        if secret is not None and move_to_version_id:
            _check_labels(secret, [version_stage])
        return original(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)

    return move


def _reads_no_removed(original: Method) -> Method:
    def get(self: Any, secret_id: str, version_id: str, version_stage: str) -> Any:
        secret = self.secrets.get(secret_id)
        if version_id and version_id in getattr(secret, REMOVED, ()):
            raise InvalidRequestException(
                f"You can't perform this operation on secret version {version_id} because it was deleted."
            )
        return original(self, secret_id, version_id, version_stage)

    return get


def _check_labels(secret: Any, more: Iterable[str]) -> None:
    """Checks the quota of labels. Each label is on one version, so it counts different labels."""
    labels = {label for version in secret.versions.values() for label in version["version_stages"]}
    wanted = labels | set(more)
    if CURRENT in more and CURRENT in labels:
        wanted.add(PREVIOUS)
    if any(not 1 <= len(label) <= LABEL_LENGTH for label in more):
        raise InvalidParameterException("A staging label has 1 to 256 characters.")
    if len(wanted) > LABELS and wanted != labels:
        raise _LimitExceeded(f"{LABELS} staging labels attached to all versions of a secret")


def _make_room(secret: Any) -> None:
    """Removes the oldest versions without a label until a new one fits. Keeps versions younger than a day."""
    aged = time.time() - YOUNG
    old = [v for v, version in secret.versions.items() if _is_outdated(version, aged)]
    old.sort(key=lambda v: secret.versions[v]["createdate"])
    while len(secret.versions) >= VERSIONS:
        if not old:
            raise _LimitExceeded(f"{VERSIONS} versions of a secret")
        removed = old.pop(0)
        del secret.versions[removed]
        setattr(secret, REMOVED, [*getattr(secret, REMOVED, ()), removed])


def _is_outdated(version: dict[str, Any], aged: float) -> bool:
    return not version["version_stages"] and version["createdate"] < aged
