"""Writes to AWS Secrets Manager without overwriting concurrent changes.

AWS has no write with a precondition, but moving a label has one: the value becomes a new version under a label of ours
first, and AWSCURRENT moves to it only from the version that the editor started with.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.aws.secret_errors import SYSTEM, LostRace, check_size, writing
from adapters.aws.secrets_manager import CURRENT, SecretsManager
from adapters.errors import ExternalError, Invalid

PREVIOUS = "AWSPREVIOUS"
SAVING = "SLIPWAYSAVING"  # the label of a version on its way to become current
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}\Z")
_LIKE_AN_ARN = re.compile(r".*-[A-Za-z0-9]{6}\Z", re.DOTALL)
_PAGE = 100


@dataclass(frozen=True)
class VersionFacts:
    """One version that holds a value. Without labels it is deprecated: AWS removes it some day."""

    version_id: str
    labels: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True)
class Created:
    """A new secret with its first version."""

    arn: str
    version_id: str


class SecretsWriter(SecretsManager):
    """Reads and writes the secrets of one region."""

    def put(self, secret_id: str, text: str, *, token: str, label: str = SAVING) -> str:
        """Stores a version under a label of ours; AWSCURRENT stays where it is. Returns the VersionId, which is `token`.

        `token` is a UUID that the caller has written down before: the same call again changes nothing. Raises Conflict
        when the token already stands for another text, Invalid for a text that is too long, NotFound, Denied,
        Throttled, TimedOut, Unavailable.
        """
        _check_token(token)
        check_size(secret_id, text)
        if label in (CURRENT, PREVIOUS, "AWSPENDING"):
            raise Invalid(f"{label} is not a label to write under.", system=SYSTEM)
        given = {"SecretString": text, "ClientRequestToken": token, "VersionStages": [label]}
        with writing(secret_id, self._access, "store a version of"):
            return str(self._client().put_secret_value(SecretId=secret_id, **given)["VersionId"])

    def move_current(self, secret_id: str, *, to: str, expected_from: str) -> None:
        """Makes `to` the current version, if `expected_from` is it until now.

        After an error the labels are read again: a move that took place is a success in spite of its answer. Raises
        LostRace when another version is current; else the error of the call.
        """
        try:
            with writing(secret_id, self._access, "make a version current of"):
                self._client().update_secret_version_stage(
                    SecretId=secret_id,
                    VersionStage=CURRENT,
                    MoveToVersionId=to,
                    RemoveFromVersionId=expected_from,
                )
        except ExternalError as error:
            self._judge(secret_id, to, expected_from, error)

    def _judge(self, secret_id: str, to: str, expected_from: str, error: ExternalError) -> None:
        """Decides by the current labels whether a failed move took place. Raises LostRace or `error` if not."""
        try:
            facts = self.describe(secret_id)
        except ExternalError:
            raise error from None
        if facts.current_version == to:
            return
        if facts.current_version in ("", expected_from):
            raise error from None
        # AWSPREVIOUS is where AWSCURRENT was before: our move took place, and another writer has written since.
        if PREVIOUS not in facts.versions.get(to, ()):
            raise LostRace(secret_id, facts.current_version) from None

    def swap(self, secret_id: str, text: str, *, token: str, base: str, first: bool = False) -> str:
        """Compare-and-swap: the text becomes current if `base` still is. Returns its VersionId (`token`). `first`: nobody has
        made this call with the token before, which saves asking AWS what came of it.

        Repeating the call, also in another process, gives the result of the first call. Raises LostRace and the errors
        of `put` and `move_current`; then AWSCURRENT was not moved, or (TimedOut, Unavailable) may have been moved.
        """
        version = self.put(secret_id, text, token=token)
        try:
            if first or not self._was_current(secret_id, version):
                self.move_current(secret_id, to=version, expected_from=base)
        except ExternalError as error:
            # Nothing was moved, and the same call would not move it: the value is left to expire.
            if error.permanent:
                self.take_label_off(secret_id, version)
            raise
        self.take_label_off(secret_id, version)
        return version

    def _was_current(self, secret_id: str, version_id: str) -> bool:
        """Whether this version is or was current: then an earlier call has moved AWSCURRENT. To move it again would undo
        what another writer did since, such as going back to `base`."""
        labels = self.describe(secret_id).versions.get(version_id, ())
        return CURRENT in labels or PREVIOUS in labels

    def take_label_off(self, secret_id: str, version_id: str, label: str = SAVING) -> None:
        """Removes our label from a version. Ignores a label that is on another version, and an AWS that does not answer."""
        with contextlib.suppress(ExternalError), writing(secret_id, self._access, "take a label off"):
            self._client().update_secret_version_stage(
                SecretId=secret_id, VersionStage=label, RemoveFromVersionId=version_id
            )

    def versions(self, secret_id: str) -> list[VersionFacts]:
        """Every version that still holds a value, the newest first; also those without a label."""
        found: list[VersionFacts] = []
        more: dict[str, str] = {}
        while True:
            with writing(secret_id, self._access, "list the versions of"):
                answer = self._client().list_secret_version_ids(
                    SecretId=secret_id, IncludeDeprecated=True, MaxResults=_PAGE, **more
                )
                found += [_version(version) for version in answer.get("Versions", [])]
            if not answer.get("NextToken"):
                return sorted(found, key=lambda version: version.created_at, reverse=True)
            more = {"NextToken": answer["NextToken"]}

    def create(self, name: str, text: str, *, token: str) -> Created:
        """A new secret with its first version, which is current. The same call again changes nothing.

        Raises Conflict when there is a secret of that name, Invalid for a name or text that AWS would not take.
        """
        _check_token(token)
        _check_name(name)
        check_size(name, text)
        with writing(name, self._access, "create"):
            answer = self._client().create_secret(Name=name, SecretString=text, ClientRequestToken=token)
            return Created(answer["ARN"], answer.get("VersionId", token))


def _version(answer: dict[str, Any]) -> VersionFacts:
    created = answer["CreatedDate"].astimezone(UTC)
    return VersionFacts(answer["VersionId"], tuple(answer.get("VersionStages", ())), created)


def _check_token(token: str) -> None:
    if not 32 <= len(token) <= 64:
        raise Invalid("The token of a version must have 32 to 64 characters.", system=SYSTEM)


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        hint = "Use up to 512 letters, digits and /_+=.@-"
        raise Invalid("This is not a name that AWS takes for a secret.", system=SYSTEM, hint=hint)
    if _LIKE_AN_ARN.match(name):
        hint = "AWS ends its own addresses so; add a word."
        raise Invalid("The name must not end with a hyphen and six characters.", system=SYSTEM, hint=hint)
