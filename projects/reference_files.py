"""The reference files of the config directory: blank Secrets in Git that name the keys of the secrets files in AWS."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.errors import Invalid, NotFound
from adapters.git.repository import GitRepository
from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document, is_read
from engine.manifests.secretfiles import parse_secrets_file
from projects import connections
from projects.models import Environment, Project

TIMEOUT = 5.0
FIRST_FETCH_TIMEOUT = 8.0
FRESH_ENOUGH = 60.0  # seconds: a mirror that was fetched within this time is not fetched again


@dataclass(frozen=True)
class Newest:
    """The newest revision of a project's default branch."""

    repository: GitRepository
    sha: str

    def files(self, directory: str) -> dict[str, bytes]:
        """The manifests of a directory at this revision, without subdirectories. Raises ExternalError."""
        return self.repository.files(self.sha, directory, recursive=False, wanted=is_read)


def newest(project: Project) -> Newest:
    """The newest revision of the default branch. Fetches first, with a short timeout, if the mirror is old. Raises
    ExternalError."""
    found = connections.git_repository(project)
    found.fetch(FRESH_ENOUGH, timeout=TIMEOUT if found.fetched_at() else FIRST_FETCH_TIMEOUT)
    return Newest(found, found.resolve(f"refs/heads/{project.default_branch}").sha)


def files_at(environment: Environment, sha: str) -> dict[str, bytes]:
    """The manifests of the config directory at a commit. Raises ManifestError, because the revision is at fault, when there
    is no such directory, or a manifest is a link or too large."""
    repository = connections.git_repository(environment.project)
    try:
        return repository.files(sha, environment.config_directory, recursive=False, wanted=is_read)
    except (NotFound, Invalid) as error:
        if not error.permanent:
            raise
        raise ManifestError(error.message, hint=error.hint) from error


def samples_of(environment: Environment) -> dict[str, list[Document]]:
    """The blank Secrets of the default branch by the path of their file, whose samples may be told to be equal to a value. Not
    those of any other revision: whoever can push one would try guesses with it. Without a file where it cannot be read."""
    project, found = environment.project, dict[str, list[Document]]()
    paths = [file.path for file in environment.secrets_files.all()]
    try:
        repository = connections.git_repository(project)
        files = files_at(environment, repository.resolve(f"refs/heads/{project.default_branch}").sha)
    except SlipwayError:
        return {}
    for path in paths:
        with contextlib.suppress(KeyError, ManifestError):
            found[path] = parse_secrets_file(files[path].decode("utf-8", "replace"), path=path)
    return found


def by_file(documents: Sequence[Document]) -> dict[str, list[Document]]:
    """The documents of each file."""
    found: dict[str, list[Document]] = {}
    for document in documents:
        found.setdefault(document.source.file, []).append(document)
    return found


def reference_documents(documents: Sequence[Document], path: str) -> list[Document]:
    """The documents of the blank Secret file at a path of the config directory. Raises ManifestError when it does not
    exist."""
    found = [document for document in documents if document.source.file == path]
    if not found:
        raise ManifestError(
            f"The reference file {path} is not in the config directory of this revision.",
            hint="Commit the blank Secret file, or correct the path of the secrets file in the environment's settings.",
        )
    return found


def newest_reference(project: Project, directory: str, path: str) -> list[Document]:
    """The blank Secrets of the reference file at the newest revision. Raises ExternalError, and ManifestError also for
    objects of other kinds."""
    found = newest(project)
    files = found.files(directory)
    if path not in files:
        others = [name for name in files if "secret" in name.lower()]
        raise NotFound(
            f"There is no file “{path}” in {directory} at {found.sha[:7]}.", system="Git",
            hint=f"There is {', '.join(others[:3])}." if others else "Give its path relative to the config directory.",
        )  # fmt: skip
    return reference_documents(parse_secrets_file(files[path].decode("utf-8", "replace"), path=path), path)
