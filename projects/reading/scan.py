"""Reads a project's repository at the newest revision of its default branch: folders of manifests, and Dockerfiles."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from adapters.errors import ExternalError
from adapters.git.repository import GitRepository
from core.fields import CannotDecrypt
from engine.manifests.documents import is_read
from projects import connections
from projects.dockerfiles import is_dockerfile
from projects.models import Project
from projects.reading.directories import Folders, folders
from projects.reading.manifests import Manifests, read

FETCH_SECONDS = 8.0  # that a person waits for the host
FRESH_SECONDS = 30.0
MOST_PATHS = (
    200_000  # files whose folders are looked at; the largest repositories of one product have about so many
)
READ_SECONDS = 6.0  # for the manifests; what is left then is named


@dataclass(frozen=True)
class Folder:
    """A folder of manifests, and what they say."""

    path: str
    manifests: Manifests


@dataclass(frozen=True)
class Scan:
    """What the repository has. `notes`: what was not understood, as sentences; `trouble`: why nothing is known, with `hint`."""

    sha: str = ""
    folders: tuple[Folder, ...] = ()
    dockerfiles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trouble: str = ""
    hint: str = ""


def scan(project: Project, *, ask: bool = True) -> Scan:
    """Reads the repository. `ask`: fetches first, unless that was done a moment ago. Errors are told in the result."""
    try:
        repository = connections.git_repository(project, patience=FETCH_SECONDS)
        if ask:
            repository.fetch(FRESH_SECONDS, timeout=FETCH_SECONDS)
        if not repository.branches():
            return Scan(trouble="The repository is empty: it has no branch yet.", hint="Push a first commit.")
        sha = repository.resolve(f"refs/heads/{project.default_branch}").sha
        return _read(repository, sha)
    except (ExternalError, CannotDecrypt) as error:
        return Scan(trouble=error.message, hint=error.hint)


def scan_folders(project: Project, paths: Collection[str]) -> dict[str, Scan]:
    """The same for each of these folders, whatever their names. The host is asked once, however many they are."""
    try:
        repository = connections.git_repository(project, patience=FETCH_SECONDS)
        repository.fetch(FRESH_SECONDS, timeout=FETCH_SECONDS)
        sha = repository.resolve(f"refs/heads/{project.default_branch}").sha
    except (ExternalError, CannotDecrypt) as error:
        return dict.fromkeys(paths, Scan(trouble=error.message, hint=error.hint))
    return {path: _scanned(repository, sha, path) for path in paths}


def _scanned(repository: GitRepository, sha: str, folder: str) -> Scan:
    try:
        files = repository.files(sha, folder, recursive=False, wanted=is_read)
    except ExternalError as error:
        return Scan(trouble=error.message, hint=error.hint)
    return Scan(sha, (Folder(folder, read(files)),))


def _read(repository: GitRepository, sha: str) -> Scan:
    every = repository.paths(sha)
    paths = every[:MOST_PATHS]
    likely = folders(paths)
    ends = time.monotonic() + READ_SECONDS
    found: list[Folder] = []
    notes = [*_notes(likely)]
    if len(every) > MOST_PATHS:
        notes.append(
            f"The repository has {len(every)} files; only the folders of the first {MOST_PATHS} were looked at."
        )
    for path in likely.chosen:
        if time.monotonic() > ends:
            notes.append(
                f"{path} was not read: the other folders took too long. Add its environment by hand."
            )
            continue
        try:
            manifests = read(repository.files(sha, path, recursive=False, wanted=is_read))
        except ExternalError as error:
            notes.append(f"{path} cannot be read: {error.message}")
            continue
        if manifests.objects:
            found.append(Folder(path, manifests))
    if not found:
        notes.append(
            "No folder with Kubernetes manifests was found. One such as kubernetes/staging is needed for each environment."
        )
    return Scan(sha, tuple(found), tuple(filter(is_dockerfile, paths)), tuple(notes))


def _notes(likely: Folders) -> list[str]:
    notes = []
    if likely.charts:
        notes.append(
            f"{', '.join(likely.charts[:3])}: Helm charts are not rendered here; plain manifests are needed."
        )
    if likely.at_root and not likely.chosen:
        notes.append(
            "Files at the root of the repository are not read: move manifests into a folder such as kubernetes/production."
        )
    if likely.skipped:
        notes.append(f"{likely.skipped} more folders with YAML files were not read.")
    return notes
