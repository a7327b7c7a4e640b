"""Reads the secrets files of an environment from AWS. No other module reads them. Every value is registered with the
current redactor first; without a redactor nothing is read.
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
Patiently = Callable[[Callable[[], Any]], Any]  # calls a function that asks an outside system


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
    """A key of a secrets file that differs from the release. `kind`: added, changed, removed."""

    file: str
    key: str
    kind: str


def at_once(ask: Callable[[], Answer]) -> Answer:
    """Calls `ask` in this thread. Runs use `Attempt.patiently` instead, so that they can be cancelled meanwhile."""
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
    RuntimeError without a redactor.
    """
    register(())
    secret = manager.get(secret_id, version_id)
    try:
        documents = parse_secrets_file(secret.text, path=path)
    except BaseException:  # signals too: register the values before any traceback can show them
        register(raw_parts(secret.text))
        raise
    register_objects([document.body for document in documents])
    return Fetched(path, secret.version_id, tuple(documents), secret.arn)


def fetch_secrets(
    environment: Environment, versions: Mapping[str, str] | None = None, *, patiently: Patiently = at_once,
    hasty: bool = False,
) -> list[Fetched]:  # fmt: skip
    """Every secrets file of the environment, at the given versions (path → VersionId) or the current ones.

    `hasty`: short timeouts, because a page waits. Raises as `read_secret`, and ManifestError for a path that the
    environment no longer has.
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
    """The keys whose values differ from a release's stored objects. They are compared by keyed digests, never by value.
    `namespace`: of the environment."""
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
    """The Secret with its namespace as rendering sets it, because digests cover namespace, name, key and value."""
    return {**document.body, "metadata": {"namespace": namespace, **document.body["metadata"]}}
