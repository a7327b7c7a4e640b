"""What is told of a repository, and how it is read out of Git's output. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

# Newlines part the fields: neither an author's name nor a subject can hold one, so nobody's commit can
# shift them.
LOG_FORMAT = "--format=%H%n%at%n%an%n%s"
REF_FORMAT = (
    "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(authordate:unix)%00%(authorname)%00%(contents:subject)"
    "%00%(*objecttype)%00%(*objectname)%00%(*authordate:unix)%00%(*authorname)%00%(*contents:subject)"
)


@dataclass(frozen=True)
class Commit:
    """One commit. `sha` is its whole number; `authored_at` is in UTC."""

    sha: str
    subject: str
    author: str
    authored_at: datetime

    @property
    def short(self) -> str:
        """The first seven digits, as people write it."""
        return self.sha[:7]


@dataclass(frozen=True)
class Branch:
    """A branch and its newest commit."""

    name: str
    commit: Commit


@dataclass(frozen=True)
class RepositoryFacts:
    """What the host says of a repository. `default_branch` is empty when it names none."""

    default_branch: str
    branches: tuple[str, ...]


def commits(output: str) -> list[Commit]:
    """The commits of `git log -z` in LOG_FORMAT, in its order."""
    return [_commit(*record.split("\n", 3)) for record in output.split("\0") if record]


def refs(output: str, below: str) -> Iterator[tuple[str, Commit]]:
    """Name (without `below`) and commit of each row of `git for-each-ref` in REF_FORMAT.

    Tags of trees, of files and of other tags lead to no commit directly and are left out.
    """
    for row in output.splitlines():
        name, *fields = row.split("\0")
        kind, sha, date, author, subject = fields[:5] if fields[0] == "commit" else fields[5:]
        if kind == "commit":
            yield name.removeprefix(below), _commit(sha, date, author, subject)


def repository_facts(output: str) -> RepositoryFacts:
    """What `git ls-remote --symref` tells: rows `ref: refs/heads/main<tab>HEAD` and `<object><tab>refs/heads/…`."""
    default, names = "", []
    for row in output.splitlines():
        left, _, right = row.partition("\t")
        if right == "HEAD" and left.startswith("ref: refs/heads/"):
            default = left.removeprefix("ref: refs/heads/")
        elif right.startswith("refs/heads/"):
            names.append(right.removeprefix("refs/heads/"))
    return RepositoryFacts(default, tuple(names))


def _commit(sha: str, date: str, author: str, subject: str) -> Commit:
    return Commit(sha, _printable(subject), _printable(author), _moment(date))


def _moment(seconds: str) -> datetime:
    """A commit's date; whoever makes a commit can write anything there, then it is 1970."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _printable(text: str) -> str:
    """Without the control characters that a commit may smuggle into a page or a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
