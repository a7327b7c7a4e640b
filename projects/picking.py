"""Commits of a project's repository for people to choose from, and the commits between two revisions. From Git's mirror; a
slow or failing host delays a page by a few seconds at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from adapters.errors import ExternalError, Invalid, NotFound
from adapters.git.repository import Commit, GitRepository, commit_url
from engine.errors import SlipwayError
from projects.connections import quick_repository
from projects.models import Project

SHOWN_COMMITS = 30
MOST_BRANCHES = 50
MOST_BETWEEN = 50
FETCH_SECONDS = 5.0
FRESH_SECONDS = 15.0


@dataclass(frozen=True)
class Offer:
    """Commits to choose from, newest first. `asked`: the revision as typed; `notice`: why the list may be out of date;
    `problem`: why no commit is chosen, with `hint`. `off`: those that are not on the default branch; `off_branch`: the branch of
    the chosen one, if it is among them."""

    branch: str = ""
    branches: tuple[str, ...] = ()
    commits: tuple[Commit, ...] = ()
    chosen: Commit | None = None
    asked: str = ""
    notice: str = ""
    problem: str = ""
    hint: str = ""
    off: frozenset[str] = frozenset()
    off_branch: str = ""


def offer(project: Project, query: Any) -> Offer:
    """The commits of a branch. `query`: branch, and revision (a commit, branch or tag; empty: the branch's newest commit).

    For an unknown revision, the branch's commits are listed without a chosen one. Raises nothing from outside.
    """
    branch = query.get("branch", "").strip() or project.default_branch
    asked = query.get("revision", "").strip()
    made = Offer(branch=branch, asked=asked)
    try:
        repository = quick_repository(project)
        made = replace(made, notice=fetched(repository))
        made = replace(made, branches=names_of(repository))
        head = named(repository, branch)
        if branch not in made.branches:  # it may have been pushed just now
            made = replace(made, branches=names_of(repository))
        made = replace(made, commits=tuple(repository.log(None, head.sha, SHOWN_COMMITS)))
        chosen = named(repository, asked) if asked else head
    except SlipwayError as error:
        return replace(made, problem=error.message, hint=error.hint)
    if all(commit.sha != chosen.sha for commit in made.commits):
        made = replace(made, commits=(chosen, *made.commits))
    made = replace(made, chosen=chosen, off=off_default(repository, project, branch, head, chosen))
    return replace(
        made, off_branch=_branch_of(made, project.default_branch) if chosen.sha in made.off else ""
    )


def off_default(
    repository: GitRepository, project: Project, branch: str, head: Commit, chosen: Commit
) -> frozenset[str]:
    """The commits of a branch (with this head), and the chosen one, that the default branch does not have; none where the mirror
    cannot tell."""
    main = f"refs/heads/{project.default_branch}"
    try:
        off = set() if repository.contains(main, chosen.sha) else {chosen.sha}
        if branch != project.default_branch:
            base = repository.resolve(main).sha
            off.update(one.sha for one in repository.log(base, head.sha, SHOWN_COMMITS, ask_host=False))
    except SlipwayError:
        return frozenset()
    return frozenset(off)


def _branch_of(made: Offer, default: str) -> str:
    """The branch of a chosen commit that the default branch does not have: as asked for, else the one that is listed."""
    if made.asked in made.branches:
        return made.asked
    return "another branch" if made.branch == default else made.branch


def names_of(repository: GitRepository) -> tuple[str, ...]:
    """The branches, the one with the newest commit first."""
    return tuple(one.name for one in repository.branches()[:MOST_BRANCHES])


def fetched(repository: GitRepository) -> str:
    """Fetches the mirror with a short timeout. Returns a notice when that failed, else an empty string. Raises ExternalError
    when there is no mirror yet."""
    try:
        repository.fetch(max_age=FRESH_SECONDS, timeout=FETCH_SECONDS)
    except ExternalError as error:
        if repository.fetched_at() is None:
            raise
        return f"The newest commits may be missing: {error.message}"
    return ""


def named(repository: GitRepository, asked: str) -> Commit:
    """The commit with this name. An unknown one may have been pushed just now, so it fetches once more. Raises
    ExternalError."""
    try:
        return repository.resolve(asked)
    except NotFound:
        repository.fetch(max_age=0.0, timeout=FETCH_SECONDS)
        return repository.resolve(asked)


def has_commit(repository: GitRepository, branch: str, commit: Commit) -> bool:
    """Whether a branch has a commit. False for a name that no branch can have. Raises ExternalError."""
    try:
        return repository.contains(f"refs/heads/{branch}", commit.sha)
    except Invalid:
        return False


def commits_between(project: Project, old: str, new: str) -> list[tuple[Commit, str]]:
    """The commits after `old` up to `new`, newest first, with their addresses; without the network. Empty when the revisions
    are equal, one is missing, or the mirror does not have them."""
    if not old or old == new:
        return []
    try:
        found = quick_repository(project).log(old, new, MOST_BETWEEN, ask_host=False)
    except SlipwayError:
        return []  # the mirror is missing or no longer has the commits; the page works without them
    return [(commit, commit_url(project.repository_url, commit.sha)) for commit in found]
