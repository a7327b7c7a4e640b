"""A secret that AWS does not have yet, made from the reference file: with its keys, and blank where that is blank."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from adapters.errors import NotFound
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from engine.errors import ManifestError
from engine.manifests.secretfiles import parse_secrets_file
from projects.connections import secrets_writer
from projects.models import Environment, SecretsFile
from projects.reference_files import files_at, newest
from secrets_ui.editing.asking import demands_request
from secrets_ui.editing.writing import SOURCE, STATE
from secrets_ui.known.looking import forget
from secrets_ui.known.public import public_rows
from secrets_ui.known.reading import opened_text
from secrets_ui.known.rights import require
from secrets_ui.known.said import LONGEST, said
from secrets_ui.known.secrets import note_address
from secrets_ui.models import Secret, SecretVersion

_NAMESPACE = uuid.UUID("5c1a2d5e-92c5-4a3d-8f35-1f7a3f1f7c11")


@dataclass(frozen=True)
class Blank:
    """The content of a secret to be made: the reference file at a commit."""

    text: str = field(repr=False)
    sha: str

    def token(self, file: SecretsFile) -> str:
        """AWS's token: the same for the same secret and content, so that the same call again changes nothing."""
        return str(uuid.uuid5(_NAMESPACE, f"{file.region}\0{file.role_arn}\0{file.secret_id}\0{self.text}"))


def newest_blank(file: SecretsFile) -> Blank:
    """The reference file at the newest revision. Raises ExternalError, ManifestError."""
    found = newest(file.environment.project)
    return _blank(file, found.files(file.environment.config_directory), found.sha)


def blank_at(file: SecretsFile, sha: str) -> Blank:
    """The reference file at a commit. Raises ExternalError, ManifestError."""
    return _blank(file, files_at(file.environment, sha), sha)


def _blank(file: SecretsFile, files: Mapping[str, bytes], sha: str) -> Blank:
    content = files.get(file.path)
    if content is None:
        raise NotFound(
            f"There is no file “{file.path}” in {file.environment.config_directory} at {sha[:7]}.", system="Git",
            hint="Commit the blank Secret file first: the secret is made from it.",
        )  # fmt: skip
    text = content.decode("utf-8", "replace")
    parse_secrets_file(text, path=file.path)
    return Blank(text, sha)


def check(actor: Actor, file: SecretsFile, comment: str) -> None:
    """Raises Refused unless the actor may make the file's secret, and it can be made by its name."""
    require(actor, file, "edit")
    if file.secret_id.startswith("arn:"):
        raise Refused(
            "The settings name the secret by its ARN, which AWS gives when it is made. Nothing was made.",
            hint="Write a name into the settings of the secrets file instead.",
        )
    if not comment.strip():
        raise Refused("Say in a few words why. Nothing was made.", code="reason")


def create(actor: Actor, file: SecretsFile, *, comment: str) -> Secret:
    """Makes the secret in AWS. The same call again changes nothing: its token belongs to the file's name and text.

    Raises Refused (also where another person has to approve it: `requests.creation`), Conflict when there is such a secret,
    ExternalError, ManifestError.
    """
    check(actor, file, comment)
    if demands_request(file):
        raise Refused(
            "Another person has to approve this: ask for it. Nothing was made.", code="secret-right"
        )
    blank = newest_blank(file)
    arn, version_id = in_aws(file, blank)
    with transaction.atomic():
        secret, is_new = keep(actor, file, arn, version_id, blank, comment)
        if is_new:
            record(actor, "secrets.created", **place_of(file.environment, file.secret_id), data={
                "version": version_id, "comment": comment_of(comment, blank.sha),
            })  # fmt: skip
    return secret


def in_aws(file: SecretsFile, blank: Blank) -> tuple[str, str]:
    """Makes it in AWS; its ARN and VersionId. Raises Conflict, ExternalError."""
    try:
        made = secrets_writer(file, hasty=True).create(file.secret_id, blank.text, token=blank.token(file))
    finally:
        forget(file)
    return made.arn, made.version_id


def comment_of(comment: str, sha: str) -> str:
    """As history has it."""
    return f"{said(comment)} (reference at {sha[:7]})"[:LONGEST]


def place_of(environment: Environment, named: str) -> dict[str, Any]:
    """Where an audit event about making a secret belongs."""
    return {
        "target_kind": "secrets", "target_id": environment.pk, "project": environment.project.slug,
        "target_text": f"{environment.label}: {named}",
    }  # fmt: skip


def keep(
    actor: Actor, file: SecretsFile, arn: str, version_id: str, blank: Blank, comment: str
) -> tuple[Secret, bool]:
    """Keeps a secret that was made, with its first version; whether that is new here. `actor`: the person who asked for it."""
    secret, _ = Secret.objects.get_or_create(
        arn=arn, defaults={"region": file.region, "name": file.secret_id}
    )
    _, is_new = SecretVersion.objects.update_or_create(
        secret=secret,
        version_id=version_id,
        defaults={
            "state": STATE.STORED, "source": SOURCE.CREATE, "comment": comment_of(comment, blank.sha),
            "environment": file.environment, "actor_kind": actor.kind, "actor_id": actor.id,
            "actor_text": actor.text[:150], "keys": public_rows(arn, opened_text(blank.text)),
            "byte_count": len(blank.text.encode()), "stored_at": timezone.now(),
        },
    )  # fmt: skip
    note_address(file, secret)
    Secret.objects.filter(pk=secret.pk).update(
        current_version=version_id, described_at=timezone.now(), gone_at=None
    )
    return secret, is_new


def cannot_create(file: SecretsFile) -> str:
    """Why the secret cannot be made now, or nothing; asks Git."""
    try:
        newest_blank(file)
    except (NotFound, ManifestError) as error:
        return f"{error.message} {error.hint}".strip()
    return ""
