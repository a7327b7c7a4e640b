"""The secrets files of an environment as they stand in AWS: the one place where they are read. Every value is known to the
redactor in force before anything else sees it; where none is in force, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from adapters.aws.secrets_manager import SecretsManager
from adapters.errors import ExternalError, NotFound
from core.secret_values import digest, register, register_objects
from engine.errors import ManifestError
from engine.manifests.documents import Document
from engine.manifests.masking import key_digests
from engine.manifests.rawparts import raw_parts
from engine.manifests.secretfiles import read_secrets
from engine.types import Json
from projects.connections import secrets_manager
from projects.models import Environment
from projects.secret_names import without_names

Answer = TypeVar("Answer")
Patiently = Callable[[Callable[[], Any]], Any]  # how an outside system is asked
References = Mapping[str, Sequence[Document]]  # the blank Secrets by the path of their reference file
HASTY_SECONDS = 2.0


@dataclass(frozen=True)
class Fetched:
    """One secrets file as read from AWS: its version, and its documents."""

    path: str
    version_id: str
    documents: tuple[Document, ...]

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


def read_secret(
    manager: SecretsManager, secret_id: str, path: str, version_id: str = "", *, reference: Sequence[Document]
) -> Fetched:
    """A version of a secrets file (the current one without `version_id`), in either form. Does not use the database.

    `reference`: the blank Secrets of its reference file, which a flat JSON object takes its name from. Raises
    ExternalError (missing, denied, throttled), ManifestError (neither Secrets nor a flat object), without values, and
    RuntimeError where no redactor is in force.
    """
    register(())
    secret = manager.get(secret_id, version_id)
    try:
        documents = read_secrets(secret.text, path=path, reference=reference)
    except BaseException:  # also by a signal: whatever it was, its traceback leaves only after this
        register(raw_parts(secret.text))
        raise
    register_objects([document.body for document in documents])
    return Fetched(path, secret.version_id, tuple(documents))


def fetch_secrets(
    environment: Environment, versions: Mapping[str, str] | None = None, *, references: References,
    patiently: Patiently = at_once, hasty: bool = False,
) -> list[Fetched]:  # fmt: skip
    """Every secrets file of the environment at its current version, or those of `versions` (path → VersionId; empty: the
    current one).

    `hasty`: somebody waits for a page. Raises as `read_secret` does, in words without names of keys, and ManifestError for
    a path that the environment no longer has.
    """
    found: list[Fetched] = []
    for file in environment.secrets_files.all():
        if versions is not None and file.path not in versions:
            continue
        manager, version = secrets_manager(file, hasty=hasty), (versions or {}).get(file.path, "")
        reference = references.get(file.path, ())
        ask = partial(read_secret, manager, file.secret_id, file.path, version, reference=reference)
        try:
            found.append(patiently(ask))
        except ManifestError as error:
            raise without_names(error) from None
        except NotFound as error:
            raise NotFound(
                error.message, system=error.system, hint=_GONE if version else error.hint
            ) from None
    missing = set(versions or {}) - {fetched.path for fetched in found}
    if missing:
        raise ManifestError(
            f"The release was made with the secrets file {', '.join(sorted(missing))}, which the environment no longer has.",
            hint="Add it again in the environment's settings, or deploy a revision instead of rolling back.",
        )
    return found


_GONE = (
    "Nothing was changed on the cluster. Deploy from a new preview: that takes the version which is current now. A release "
    "whose version is gone cannot be put in place again."
)


def current_versions(environment: Environment) -> dict[str, str]:
    """The current VersionId of each secrets file by its path, without reading any value. What AWS does not say within two
    seconds, or refuses to say, is left out."""
    files = list(environment.secrets_files.all())
    if not files:
        return {}
    pool = ThreadPoolExecutor(max_workers=len(files), thread_name_prefix="versions")
    asked = {
        pool.submit(secrets_manager(file, hasty=True).current_version, file.secret_id): file.path
        for file in files
    }
    done, _ = wait(asked, timeout=HASTY_SECONDS)
    pool.shutdown(wait=False)
    return {
        path: ask.result()
        for ask, path in asked.items()
        if ask in done and not isinstance(ask.exception(), ExternalError)
    }


def moved(
    environment: Environment,
    pinned: Mapping[str, str],
    *,
    patiently: Patiently = at_once,
    hasty: bool = False,
) -> list[str]:
    """Those of the pinned files (path → VersionId) of which AWS has a newer version by now. What cannot be told is left
    out: a pinned deploy does not need to know."""
    found = []
    for file in environment.secrets_files.filter(
        path__in=[path for path, version in pinned.items() if version]
    ):
        try:
            current = patiently(partial(secrets_manager(file, hasty=hasty).current_version, file.secret_id))
        except ExternalError:
            continue
        if current != pinned[file.path]:
            found.append(file.path)
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
