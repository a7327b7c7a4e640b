"""The secrets files of an environment as they stand in AWS: the one place where they are read. Every value is known to the
redactor in force before anything else sees it; where none is in force, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from adapters.aws.secrets_manager import SecretsManager, SecretText
from core.secret_values import digest, register, register_objects
from engine.errors import ManifestError
from engine.manifests.documents import Document
from engine.manifests.masking import key_digests
from engine.manifests.rawparts import raw_parts
from engine.manifests.secretfiles import parse_secrets_file
from engine.types import Json
from projects.connections import secrets_manager
from projects.models import Environment

Answer = TypeVar("Answer")
Patiently = Callable[[Callable[[], Any]], Any]  # how an outside system is asked


@dataclass(frozen=True)
class Fetched:
    """One secrets file as read from AWS: its version, and its documents. `arn`: of the secret."""

    path: str
    version_id: str
    documents: tuple[Document, ...]
    arn: str = ""

    def __repr__(self) -> str:
        return f"Fetched(path={self.path!r}, version_id={self.version_id!r})"


@dataclass(frozen=True)
class SecretChange:
    """A key of a secrets file against those of a release. `kind`: added, changed, removed."""

    file: str
    key: str
    kind: str


def at_once(ask: Callable[[], Answer]) -> Answer:
    """Calls. Who can be stopped meanwhile asks in another way."""
    return ask()


def read_text(manager: SecretsManager, secret_id: str, version_id: str = "") -> SecretText:
    """A version of a secret (the current one without `version_id`) as the text that is stored, whatever it holds: for
    editing it. Everything in it that may be a value is registered. Raises as `read_secret` does, but no ManifestError.
    """
    register(())
    secret = manager.get(secret_id, version_id)
    register(raw_parts(secret.text))
    return secret


def read_secret(manager: SecretsManager, secret_id: str, path: str, version_id: str = "") -> Fetched:
    """A version of a secrets file (the current one without `version_id`). Does not use the database.

    Raises ExternalError (missing, denied, throttled), ManifestError (no Kubernetes Secret), without values, and
    RuntimeError where no redactor is in force.
    """
    register(())
    secret = manager.get(secret_id, version_id)
    try:
        documents = parse_secrets_file(secret.text, path=path)
    except BaseException:  # also by a signal: whatever it was, its traceback leaves only after this
        register(raw_parts(secret.text))
        raise
    register_objects([document.body for document in documents])
    return Fetched(path, secret.version_id, tuple(documents), secret.arn)


def fetch_secrets(
    environment: Environment, versions: Mapping[str, str] | None = None, *, patiently: Patiently = at_once,
    hasty: bool = False,
) -> list[Fetched]:  # fmt: skip
    """Every secrets file of the environment, at the given versions (path → VersionId) or the current ones.

    `hasty`: somebody waits for a page. Raises as `read_secret` does, and ManifestError for a path that the environment no
    longer has.
    """
    found: list[Fetched] = []
    for file in environment.secrets_files.all():
        if versions is not None and file.path not in versions:
            continue
        manager, version = secrets_manager(file, hasty=hasty), (versions or {}).get(file.path, "")
        found.append(patiently(partial(read_secret, manager, file.secret_id, file.path, version)))
    missing = set(versions or {}) - {fetched.path for fetched in found}
    if missing:
        raise ManifestError(
            f"The release was made with the secrets file {', '.join(sorted(missing))}, which the environment no longer has.",
            hint="Add it again in the environment's settings, or deploy a revision instead of rolling back.",
        )
    return found


def secret_changes(stored: Sequence[Json], fetched: Sequence[Fetched], namespace: str) -> list[SecretChange]:
    """Keys that differ from those of a release's stored objects: compared by keyed digests, never by value. `namespace`:
    of the environment."""
    before = {
        (entry["from"]["file"], key): kept
        for entry in stored
        if "file" in entry.get("from", {})
        for key, kept in entry["secret"]["keys"].items()
    }
    after = {
        (one.path, key): found
        for one in fetched
        for document in one.documents
        for key, found in key_digests(_placed(document, namespace), digest).items()
    }
    changes = [
        *(SecretChange(*key, "added") for key in after.keys() - before.keys()),
        *(SecretChange(*key, "removed") for key in before.keys() - after.keys()),
        *(SecretChange(*key, "changed") for key in after.keys() & before.keys() if after[key] != before[key]),
    ]
    return sorted(changes, key=lambda change: (change.file, change.key))


def _placed(document: Document, namespace: str) -> Json:
    """The Secret with the namespace that rendering gives it: digests are made over namespace, name, key and value."""
    return {**document.body, "metadata": {"namespace": namespace, **document.body["metadata"]}}
