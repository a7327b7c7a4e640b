"""What a person typed → one commit of the project's repository."""

from __future__ import annotations

from adapters.errors import Invalid, NotFound
from adapters.git import Commit
from core.errors import Refused
from projects.connections import git_repository
from projects.models import Project

# A mirror fetched this many seconds ago is fresh enough to answer which commit a branch names.
FRESH_SECONDS = 10.0


def resolve(project: Project, text: str) -> Commit:
    """The commit that a full or short id, a branch or a tag names now.

    Raises Refused (code `unknown-revision`) when there is none, ExternalError when the repository cannot be reached.
    """
    repository = git_repository(project)
    try:
        repository.fetch(max_age=FRESH_SECONDS)
        return repository.resolve(text.strip())
    except (NotFound, Invalid) as error:
        raise Refused(error.message, hint=error.hint, code="unknown-revision") from error
