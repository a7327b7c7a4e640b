"""Resolves what a person typed (commit, branch or tag) to one commit of the project's repository."""

from __future__ import annotations

from adapters.errors import ExternalError, Invalid, NotFound
from adapters.git.names import is_commit
from adapters.git.repository import Commit, GitRepository
from core.errors import Refused
from projects.connections import quick_repository as git_repository
from projects.models import Project

# A branch may have moved since the last fetch; a commit never changes.
ANOTHER = "another branch"
BRANCH_SECONDS, COMMIT_SECONDS = 2.0, 3600.0


def resolve(project: Project, text: str) -> Commit:
    """The commit that `text` (a full or short id, a branch or a tag) names now.

    Raises Refused (code `unknown-revision`) when there is none, ExternalError when the repository is unreachable.
    """
    repository, name = git_repository(project), text.strip()
    try:
        return newest(repository, name)
    except (NotFound, Invalid) as error:
        raise Refused(error.message, hint=error.hint, code="unknown-revision") from error


def is_on(project: Project, branch: str, sha: str) -> bool:
    """Whether a branch has a commit now. Raises ExternalError when the repository is unreachable."""
    repository = git_repository(project)
    repository.fetch(max_age=BRANCH_SECONDS)
    return repository.contains(f"refs/heads/{branch}", sha)


def other_branch(project: Project, sha: str, asked: str) -> str:
    """The branch of a commit that is not on the project's default branch: `asked`, if that is a branch that has it, else
    `another branch`. Empty for all others, and where the mirror cannot tell."""
    repository = git_repository(project)
    try:
        if repository.contains(f"refs/heads/{project.default_branch}", sha):
            return ""
        return asked if repository.contains(f"refs/heads/{asked}", sha) else ANOTHER
    except ExternalError:
        return ""


def newest(repository: GitRepository, name: str) -> Commit:
    """Resolves a name after a fetch that is recent enough for its kind; an unknown name gets a second, fresh fetch.
    Raises NotFound, Invalid and other ExternalErrors."""
    fetched = repository.fetch(max_age=COMMIT_SECONDS if is_commit(name) else BRANCH_SECONDS)
    try:
        return repository.resolve(name)
    except NotFound:
        if fetched:
            raise
        repository.fetch(max_age=0.0)  # the commit may have been pushed after the last fetch
        return repository.resolve(name)
