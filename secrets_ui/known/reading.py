"""Reading a version of a secret, once: afterwards its row says what may be shown of it."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.errors import ExternalError
from core.redactor import redact_text
from engine.errors import ManifestError, SlipwayError
from engine.types import Json
from projects.connections import secrets_writer
from projects.models import SecretsFile
from projects.secret_files import read_text
from secrets_ui.files.model import SecretsText, open_text
from secrets_ui.known.public import keys_of, public_rows, register_values, touched
from secrets_ui.known.secrets import find_version, secret_of
from secrets_ui.models import Secret, SecretVersion


@dataclass(frozen=True)
class Stored:
    """A version as it stands in AWS. Its values are known to the redactor."""

    version_id: str
    opened: SecretsText

    def __repr__(self) -> str:
        return f"Stored({self.version_id!r})"


def read_version(file: SecretsFile, secret: Secret, version_id: str, *, hasty: bool = True) -> Stored:
    """A version, whatever it holds. Keeps what may be shown of it. Raises ExternalError, ManifestError."""
    text = read_text(secrets_writer(file, hasty=hasty), file.secret_id, version_id)
    opened = opened_text(text.text)
    note_content(secret, text.version_id, opened)
    return Stored(text.version_id, opened)


def opened_text(text: str) -> SecretsText:
    """A stored text opened, its values registered. Raises ManifestError."""
    opened = open_text(text)
    register_values(opened)
    return opened


def note_content(secret: Secret, version_id: str, opened: SecretsText) -> None:
    """Keeps what may be shown of a version that was read, unless all of it is known: a deploy tells keys, but not the size
    of the text nor what is locked."""
    row = find_version(secret, version_id)
    if not is_known(row):
        keep(row, public_rows(secret.arn, opened), len(opened.text.encode("utf-8", "surrogatepass")))


def is_known(row: SecretVersion) -> bool:
    """Whether the whole text of a version was read."""
    return row.keys is not None and row.byte_count is not None


def keep(row: SecretVersion, rows: list[Json], byte_count: int | None = None) -> None:
    """Stores the public facts of a version, and its differences to the version before and after it."""
    row.keys, row.byte_count, row.error = rows, byte_count, ""
    row.save(update_fields=["keys", "byte_count", "error"])
    of_secret = SecretVersion.objects.filter(secret=row.secret_id, keys__isnull=False)
    before = of_secret.filter(version_id=row.base_version).first() if row.base_version else None
    if before is not None:
        _tell(before, row)
    for after in of_secret.filter(base_version=row.version_id):
        _tell(row, after)


def _tell(before: SecretVersion, after: SecretVersion) -> None:
    """Stores the differences of two known versions, unless they are stored already."""
    if not after.touched:
        after.touched = touched(keys_of(before.keys), keys_of(after.keys))
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
        read_version(file, secret, version_id, hasty=False)
    except (ExternalError, ManifestError) as error:
        SecretVersion.objects.filter(pk=row.pk).update(error=_said(error))
        return False
    return True


def _said(error: SlipwayError) -> str:
    return redact_text(f"{error.message} {error.hint}".strip())[:500]
