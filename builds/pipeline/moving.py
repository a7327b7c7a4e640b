"""Whether a tag that follows a branch or a tag of Git may go to a build's images, as Git says now.

A retry, a rebuild or a replay may be of a commit from which the branch has moved on. Its image must not take `latest` back. So
such a tag goes only to the head of its branch, or forward: from an image of an older commit. What cannot be told is no.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from adapters.errors import ExternalError
from adapters.git.repository import GitRepository
from builds.pushes import BRANCH, TAG
from builds.tags import RefTag

MOST_REFS = 20  # of a revision; those that asked for the build come first, then the default branch


@dataclass(frozen=True)
class Heads:
    """What Git says: the commit of each branch and tag, by its whole name. `trouble`: why it says nothing."""

    commits: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    def refs_of(self, revision: str) -> list[str]:
        """The branches and tags that lead to the revision, by name."""
        return sorted(ref for ref, sha in self.commits.items() if sha == revision)


def read_heads(repository: GitRepository, *, timeout: float) -> Heads:
    """Asks the host for the heads of now. Raises nothing for a host that does not answer: nothing can be told then."""
    try:
        repository.fetch(0, timeout=timeout)
        commits = {f"{BRANCH}{one.name}": one.commit.sha for one in repository.branches()}
        commits |= {f"{TAG}{one.name}": one.commit.sha for one in repository.tags()}
    except ExternalError as error:
        return Heads(trouble=error.message)
    return Heads(commits)


def wanted_refs(asked: Iterable[str], heads: Heads, revision: str, default_branch: str) -> list[str]:
    """The refs whose tags are meant: those that asked for the build, and those that lead to its revision."""
    main = f"{BRANCH}{default_branch}"
    found = sorted(heads.refs_of(revision), key=lambda ref: ref != main)
    return list(dict.fromkeys([*asked, *found]))[:MOST_REFS]


def why_not(
    repository: GitRepository, heads: Heads, one: RefTag, revision: str, holders: Collection[str]
) -> str:
    """Why the tag does not go to an image of the revision, as the end of a sentence; empty when it does.

    `holders`: the revisions of the image that has the tag now.
    """
    if heads.trouble:
        return f"Git does not say where the {named(one.ref)} is: {heads.trouble}"
    head = heads.commits.get(one.ref)
    if head is None:
        return f"the repository has no {named(one.ref)} any more."
    if head == revision:
        return ""
    if one.ref.startswith(TAG):
        return f"the Git tag leads to {head[:7]}."
    try:
        if not repository.contains(one.ref, revision):
            return f"the {named(one.ref)} does not have {revision[:7]} any more."
        is_forward = bool(holders) and all(_leads_to(repository, holder, revision) for holder in holders)
    except ExternalError:
        is_forward = False
    return "" if is_forward else f"the {named(one.ref)} has moved on to {head[:7]}."


def named(ref: str) -> str:
    """A ref in sentences."""
    return (
        f"branch {ref.removeprefix(BRANCH)}" if ref.startswith(BRANCH) else f"Git tag {ref.removeprefix(TAG)}"
    )


def _leads_to(repository: GitRepository, older: str, newer: str) -> bool:
    """Whether a commit is the other one, or an ancestor of it. Raises ExternalError for one that is gone."""
    return older == newer or repository.count(older, newer)[1] == 0
