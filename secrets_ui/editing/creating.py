"""A secret that AWS does not have yet, made from the reference file: with its keys, and blank where that is blank."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from adapters.errors import NotFound
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from engine.errors import ManifestError
from engine.manifests.secretfiles import parse_secrets_file
from projects.connections import secrets_writer
from projects.models import SecretsFile
from projects.reference_files import newest
from secrets_ui.editing.writing import SOURCE, STATE
from secrets_ui.known.looking import forget
from secrets_ui.known.public import public_rows
from secrets_ui.known.reading import opened_text
from secrets_ui.known.rights import require
from secrets_ui.known.said import said
from secrets_ui.known.secrets import note_address
from secrets_ui.models import Secret, SecretVersion

_NAMESPACE = uuid.UUID("5c1a2d5e-92c5-4a3d-8f35-1f7a3f1f7c11")


def reference_text(file: SecretsFile) -> tuple[str, str]:
    """The reference file at the newest revision, and that revision. Raises ExternalError, ManifestError."""
    found = newest(file.environment.project)
    directory = file.environment.config_directory
    content = found.files(directory).get(file.path)
    if content is None:
        raise NotFound(
            f"There is no file “{file.path}” in {directory} at {found.sha[:7]}.", system="Git",
            hint="Commit the blank Secret file first: the secret is made from it.",
        )  # fmt: skip
    text = content.decode("utf-8", "replace")
    parse_secrets_file(text, path=file.path)
    return text, found.sha


def create(actor: Actor, file: SecretsFile, *, comment: str) -> Secret:
    """Makes the secret in AWS. The same call again changes nothing: its token belongs to the file's name and text.

    Raises Refused, Conflict when there is such a secret, ExternalError, ManifestError.
    """
    require(actor, file, "edit")
    if file.secret_id.startswith("arn:"):
        raise Refused(
            "The settings name the secret by its ARN, which AWS gives when it is made. Nothing was made.",
            hint="Write a name into the settings of the secrets file instead.",
        )
    if not comment.strip():
        raise Refused("Say in a few words why. Nothing was made.", code="reason")
    text, sha = reference_text(file)
    token = str(uuid.uuid5(_NAMESPACE, f"{file.region}\0{file.role_arn}\0{file.secret_id}\0{text}"))
    made = secrets_writer(file, hasty=True).create(file.secret_id, text, token=token)
    forget(file)
    return _kept(actor, file, made.arn, made.version_id, text, f"{said(comment)} (reference at {sha[:7]})")


@transaction.atomic
def _kept(actor: Actor, file: SecretsFile, arn: str, version_id: str, text: str, comment: str) -> Secret:
    secret, _ = Secret.objects.get_or_create(
        arn=arn, defaults={"region": file.region, "name": file.secret_id}
    )
    _, new = SecretVersion.objects.update_or_create(
        secret=secret,
        version_id=version_id,
        defaults={
            "state": STATE.STORED, "source": SOURCE.CREATE, "comment": comment[:300], "environment": file.environment,
            "actor_kind": actor.kind, "actor_id": actor.id, "actor_text": actor.text[:150],
            "keys": public_rows(arn, opened_text(text)), "byte_count": len(text.encode()), "stored_at": timezone.now(),
        },
    )  # fmt: skip
    note_address(file, secret)
    Secret.objects.filter(pk=secret.pk).update(current_version=version_id, described_at=timezone.now())
    if new:
        record(
            actor, "secrets.created", target_kind="secrets", target_id=file.environment_id,
            target_text=f"{file.environment.label}: {secret.name}", project=file.environment.project.slug,
            data={"version": version_id, "comment": comment},
        )  # fmt: skip
    return secret


def cannot_create(file: SecretsFile) -> str:
    """Why the secret cannot be made now, or nothing; asks Git."""
    try:
        reference_text(file)
    except (NotFound, ManifestError) as error:
        return f"{error.message} {error.hint}".strip()
    return ""
