"""Reads the secrets files of an environment from AWS. No other module reads them. Every value is registered with the
current redactor first; without a redactor nothing is read.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from adapters.aws.secrets_manager import SecretsManager, SecretText
from adapters.errors import ExternalError, NotFound
from core.secret_values import digests_of, register, register_objects
from engine.errors import Cause, ManifestError
from engine.manifests.documents import Document
from engine.manifests.masking import decode_value, key_digests
from engine.manifests.rawparts import raw_parts
from engine.manifests.secretfiles import FLAT, parse_secrets_file, read_secrets, storage_form
from engine.types import Json, ObjectRef
from projects import contacts
from projects.allotting.using import lost_files, require_still
from projects.allotting.wishes import of_secret
from projects.connections import secrets_manager
from projects.models import Environment, SecretsFile
from projects.secret_names import without_names

Answer = TypeVar("Answer")
Patiently = Callable[[Callable[[], Any]], Any]  # calls a function that asks an outside system
References = Mapping[str, Sequence[Document]]  # the blank Secrets by the path of their reference file
HASTY_SECONDS = 2.0


@dataclass(frozen=True)
class Fetched:
    """One secrets file as read from AWS: its version, and its documents. `arn`: of the secret; `flat`: stored as one flat JSON
    object."""

    path: str
    version_id: str
    documents: tuple[Document, ...]
    arn: str = ""
    flat: bool = False

    def __repr__(self) -> str:
        return f"Fetched(path={self.path!r}, version_id={self.version_id!r})"


@dataclass(frozen=True)
class SecretChange:
    """A key of a secrets file that differs from the release. `kind`: added, changed, removed. `secret`: the name of its Secret
    where the file holds more than one, else empty."""

    file: str
    key: str
    kind: str
    secret: str = ""

    @property
    def name(self) -> str:
        """The key for a person: `app/TOKEN`, or `TOKEN` where the file holds one Secret only."""
        return f"{self.secret}/{self.key}" if self.secret else self.key


def at_once(ask: Callable[[], Answer]) -> Answer:
    """Calls `ask` in this thread. Runs use `Attempt.patiently` instead, so that they can be cancelled meanwhile."""
    return ask()


def read_text(manager: SecretsManager, secret_id: str, version_id: str = "") -> SecretText:
    """A version of a secret (the current one without `version_id`) as the stored text, for editing. Registers everything in it
    that could be a value: of a text of several lines each line; the code that opens the file registers the whole. Raises
    ExternalError, and RuntimeError without a redactor."""
    register(())
    secret = manager.get(secret_id, version_id)
    _register_parts(secret.text)
    return secret


def _register_parts(text: str) -> None:
    """Registers everything that could be a value. In a Kubernetes Secret file labels are none: they are words such as the
    project's name, which the portal writes itself. Only a text with that word in it can have some."""
    bodies: list[Json] = []
    try:
        with contextlib.suppress(ManifestError):
            bodies = [one.body for one in parse_secrets_file(text, path="")] if "labels" in text else []
    finally:
        plain = {label for body in bodies for label in (body["metadata"].get("labels") or {}).values()}
        labels: set[str | bytes] = plain | set(map(decode_value, plain))
        register(part for part in raw_parts(text) if part not in labels)
    register_objects(bodies)


def read_secret(
    manager: SecretsManager, secret_id: str, path: str, version_id: str = "", *, reference: Sequence[Document]
) -> Fetched:
    """A version of a secrets file (the current one without `version_id`), in either form. Does not use the database.

    `reference`: the blank Secrets of its reference file; a flat JSON object gets the name of that Secret. Raises
    ExternalError (missing, denied, throttled), ManifestError (neither Secrets nor a flat object), without values, and
    RuntimeError without a redactor.
    """
    register(())
    secret = manager.get(secret_id, version_id)
    try:
        documents = read_secrets(secret.text, path=path, reference=reference)
    except BaseException:  # signals too: register the values before any traceback can show them
        register(raw_parts(secret.text))
        raise
    register_objects([document.body for document in documents])
    flat = storage_form(secret.text) == FLAT
    return Fetched(path, secret.version_id, tuple(documents), secret.arn, flat)


def fetch_secrets(
    environment: Environment, versions: Mapping[str, str] | None = None, *, references: References,
    patiently: Patiently = at_once, hasty: bool = False,
) -> list[Fetched]:  # fmt: skip
    """Every secrets file of the environment at its current version, or those of `versions` (path → VersionId; empty: the
    current one).

    `hasty`: short timeouts, because a page waits. Raises as `read_secret`, but without names of keys in its sentences, and
    ManifestError for a path that the environment no longer has, and NotAllotted for a secret that is not allotted any more.
    """
    found: list[Fetched] = []
    files = [one for one in environment.secrets_files.all() if versions is None or one.path in versions]
    require_still(
        environment.project, [wish for one in files for wish in of_secret(one.secret_id, one.role_arn)]
    )
    for file in files:
        manager, version = secrets_manager(file, hasty=hasty), (versions or {}).get(file.path, "")
        reference = references.get(file.path, ())
        ask = partial(read_secret, manager, file.secret_id, file.path, version, reference=reference)
        try:
            found.append(_noted(file, patiently, ask))
        except ManifestError as error:
            raise without_names(error) from None
        except NotFound as error:
            gone = NotFound(error.message, system=error.system, hint=_GONE if version else error.hint)
            if not version:
                gone.why[error.message] = Cause("secret-missing", file.secret_id, file.path)
            raise gone from None
    missing = set(versions or {}) - {fetched.path for fetched in found}
    if missing:
        raise ManifestError(
            f"The release was made with the secrets file {', '.join(sorted(missing))}, which the environment no longer has.",
            hint="Add it again in the environment's settings, or deploy a revision instead of rolling back.",
        )
    return found


def _noted(file: SecretsFile, patiently: Patiently, ask: Callable[[], Fetched]) -> Fetched:
    """The answer; whether AWS gave one is noted in the contacts."""
    aws = contacts.name_of(contacts.AWS, file.region)
    try:
        fetched: Fetched = patiently(ask)
    except ExternalError as error:
        contacts.note_error(aws, error)
        raise
    contacts.note_answer(aws)
    return fetched


_GONE = (
    "Nothing was changed on the cluster. Deploy from a new preview: that takes the version which is current now. A release "
    "whose version is gone cannot be put in place again."
)


def current_versions(environment: Environment) -> dict[str, str]:
    """The current VersionId by path of each secrets file, without reading a value. Files for which AWS refuses, or does not
    answer within two seconds, and those that are not allotted any more are left out."""
    all_files = list(environment.secrets_files.select_related("environment__project"))
    lost = lost_files(all_files)
    files = [file for file in all_files if file.pk not in lost]
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
    environment: Environment, pinned: Mapping[str, str], *, patiently: Patiently = at_once
) -> list[str]:
    """The paths of pinned files (path → VersionId) of which AWS has a newer version. Files for which AWS does not answer soon
    are left out: a pinned deploy does not need the answer."""
    found = []
    for file in environment.secrets_files.filter(
        path__in=[path for path, version in pinned.items() if version]
    ):
        try:
            ask = partial(secrets_manager(file, hasty=True).current_version, file.secret_id)
            current = patiently(ask)
        except ExternalError:
            continue
        if current != pinned[file.path]:
            found.append(file.path)
    return found


def secret_changes(
    stored: Sequence[Json], fetched: Sequence[Fetched], environment: Environment
) -> list[SecretChange]:
    """The keys whose values differ from a release's stored objects. They are compared by keyed digests, never by value."""
    digest, namespace = digests_of(environment.label).of_release(stored), environment.namespace
    before = {
        (entry["from"]["file"], ObjectRef.parse(entry["secret"]["ref"]).name, key): kept
        for entry in stored
        if "file" in entry.get("from", {})
        for key, kept in entry["secret"]["keys"].items()
    }
    after = {
        (one.path, str(document.body["metadata"].get("name") or ""), key): found
        for one in fetched
        for document in one.documents
        for key, found in key_digests(_placed(document, namespace), digest).items()
    }
    kinds = dict.fromkeys(after.keys() - before.keys(), "added")
    kinds |= dict.fromkeys(before.keys() - after.keys(), "removed")
    both = after.keys() & before.keys()
    kinds |= {place: "changed" for place in both if after[place] != before[place]}
    several = _of_several_secrets({*before, *after})
    return [
        SecretChange(file, key, kind, secret if file in several else "")
        for (file, secret, key), kind in sorted(kinds.items())
    ]


def _of_several_secrets(places: Collection[tuple[str, str, str]]) -> set[str]:
    """The files that hold more than one Secret: there a key alone does not say which one is meant."""
    named = Counter(file for file, _ in {(file, secret) for file, secret, _ in places})
    return {file for file, number in named.items() if number > 1}


def _placed(document: Document, namespace: str) -> Json:
    """The Secret with its namespace as rendering sets it, because digests cover namespace, name, key and value."""
    return {**document.body, "metadata": {"namespace": namespace, **document.body["metadata"]}}
