"""The images that the Dockerfiles of a project's repository propose."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.errors import ExternalError
from core.fields import CannotDecrypt
from projects import connections
from projects.dockerfiles import Proposal, proposals
from projects.models import Project

FETCH_SECONDS = 8.0
FRESH_SECONDS = 60.0


@dataclass(frozen=True)
class Found:
    """What the repository has. `sha`: the newest revision; `trouble`: why nothing is known, as a sentence; `is_known`: False
    while the repository was never fetched."""

    proposals: tuple[Proposal, ...] = ()
    sha: str = ""
    trouble: str = ""
    is_known: bool = True


def found(project: Project, *, ask: bool = False) -> Found:
    """The Dockerfiles at the newest revision that no image has. `ask`: fetch first, for some seconds; else only what the portal
    has of the repository is read, in milliseconds."""
    try:
        repository = connections.git_repository(project, patience=FETCH_SECONDS)
        if ask:
            repository.fetch(FRESH_SECONDS, timeout=FETCH_SECONDS)
        elif repository.fetched_at() is None:
            return Found(is_known=False)
        sha = repository.resolve(f"refs/heads/{project.default_branch}").sha
        paths = repository.paths(sha)
    except (ExternalError, CannotDecrypt) as error:
        return Found(trouble=f"{error.message} {error.hint}".strip())
    return Found(tuple(proposals(project.slug, paths, list(project.images.all()))), sha)
