"""Reading a version of a secret, once: afterwards its row says what may be shown of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from adapters.errors import ExternalError
from core.redactor import redact_text
from engine.errors import ManifestError, SlipwayError
from engine.types import Json
from projects.allotting.using import require_still
from projects.allotting.wishes import of_secret
from projects.connections import secrets_writer
from projects.models import SecretsFile
from projects.secret_files import read_text
from secrets_ui.files.model import SecretsText, open_text
from secrets_ui.known.public import Told, public_rows, register_values, touched
from secrets_ui.known.secrets import find_version, secret_of
from secrets_ui.models import Secret, SecretVersion


@dataclass(frozen=True)
class Stored:
    """A version as it stands in AWS. Its values are known to the redactor. `told`: see `public_rows`."""

    version_id: str
    arn: str
    opened: SecretsText
    told: Told = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Stored({self.version_id!r})"

    @cached_property
    def rows(self) -> list[Json]:
        """What may be shown of it."""
        return public_rows(self.arn, self.opened, self.told)


def read_version(
    file: SecretsFile,
    secret: Secret,
    version_id: str,
    *,
    hasty: bool = True,
    row: SecretVersion | None = None,
) -> Stored:
    """A version, whatever it holds. Keeps what may be shown of it. `row`: its row, if it is at hand and nobody has read it.
    Raises ExternalError, ManifestError."""
    text = read_text(secrets_writer(file, hasty=hasty), file.secret_id, version_id)
    stored = Stored(text.version_id, secret.arn, opened_text(text.text))
    note_content(secret, stored, row)
    return stored


def opened_text(text: str) -> SecretsText:
    """A stored text opened, its values registered. Raises ManifestError."""
    opened = open_text(text)
    register_values(opened)
    return opened


def note_content(secret: Secret, stored: Stored, row: SecretVersion | None = None) -> None:
    """Keeps what may be shown of a version that was read, unless all of it is known: a deploy tells keys, but
    not the size of the text nor what is locked. `row`: as for `read_version`."""
    if row is None and _is_known(secret, stored.version_id):
        return
    row = row or find_version(secret, stored.version_id)
    keep(row, stored.rows, len(stored.opened.text.encode("utf-8", "surrogatepass")))


def _is_known(secret: Secret, version_id: str) -> bool:
    """Whether the version was read before; the rows of its keys are not loaded for this."""
    return SecretVersion.objects.filter(
        secret=secret, version_id=version_id, keys__isnull=False, byte_count__isnull=False
    ).exists()


def is_known(row: SecretVersion) -> bool:
    """Whether the whole text of a version was read."""
    return row.keys is not None and row.byte_count is not None


def keep(row: SecretVersion, rows: list[Json], byte_count: int | None = None) -> None:
    """Stores the public facts of a version, and its differences to the version before and after it."""
    row.keys, row.byte_count, row.error = rows, byte_count, ""
    fields = ["keys", "byte_count", "error"]
    known = SecretVersion.objects.filter(secret=row.secret_id, keys__isnull=False).exclude(pk=row.pk)
    before = known.filter(version_id=row.base_version).first() if row.base_version else None
    if before is not None and not row.touched:
        row.touched = touched(before.keys or [], rows)
        fields.append("touched")
    row.save(update_fields=fields)
    for after in known.filter(base_version=row.version_id, touched={}):
        after.touched = touched(rows, after.keys or [])
        after.save(update_fields=["touched"])


def learn(file: SecretsFile, version_id: str) -> bool:
    """Reads a version that is not known yet; whether it is known afterwards. A failure is kept in its row."""
    secret = secret_of(file)
    if secret is None:
        return False
    row = find_version(secret, version_id)
    if is_known(row):
        return True
    try:
        require_still(file.environment.project, of_secret(file.secret_id, file.role_arn))
        read_version(file, secret, version_id, hasty=False, row=row)
    except (ExternalError, ManifestError) as error:
        SecretVersion.objects.filter(pk=row.pk).update(error=_said(error))
        return False
    return True


def _said(error: SlipwayError) -> str:
    return redact_text(f"{error.message} {error.hint}".strip())[:500]
