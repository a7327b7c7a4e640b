"""Commits, branches and repositories, parsed from Git's output. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

# Newlines separate the fields. Neither an author's name nor a subject can contain one, so no commit can shift the fields.
LOG_FORMAT = "--format=%H%n%at%n%an%n%s"
REF_FORMAT = (
    "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(authordate:unix)%00%(authorname)%00%(contents:subject)"
    "%00%(*objecttype)%00%(*objectname)%00%(*authordate:unix)%00%(*authorname)%00%(*contents:subject)"
)
LONGEST_SUBJECT, LONGEST_AUTHOR = 300, 150  # a commit may hold megabytes there


@dataclass(frozen=True)
class Commit:
    """One commit. `sha` is its full hash; `authored_at` is in UTC."""

    sha: str
    subject: str
    author: str
    authored_at: datetime

    @property
    def short(self) -> str:
        """The first seven digits of the hash."""
        return self.sha[:7]


@dataclass(frozen=True)
class Branch:
    """A branch and its newest commit."""

    name: str
    commit: Commit


@dataclass(frozen=True)
class RepositoryFacts:
    """The host's answer about a repository. `default_branch` is empty when the host names none."""

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
    """Parses `git ls-remote --symref`: rows `ref: refs/heads/main<tab>HEAD` and `<object><tab>refs/heads/…`."""
    default, names = "", []
    for row in output.splitlines():
        left, _, right = row.partition("\t")
        if right == "HEAD" and left.startswith("ref: refs/heads/"):
            default = left.removeprefix("ref: refs/heads/")
        elif right.startswith("refs/heads/"):
            names.append(right.removeprefix("refs/heads/"))
    return RepositoryFacts(default, tuple(names))


def _commit(sha: str, date: str, author: str, subject: str) -> Commit:
    return Commit(
        sha, _printable(subject[:LONGEST_SUBJECT]), _printable(author[:LONGEST_AUTHOR]), _moment(date)
    )


def _moment(seconds: str) -> datetime:
    """A commit's date; 1970 for an invalid one, because a commit can contain anything there."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _printable(text: str) -> str:
    """The text without control characters, which could harm a page or a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
