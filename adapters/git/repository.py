"""Git repositories: a bare mirror on our disk as a cache, read by Git's own command line.

`fetch` and `check` talk to the host; everything else reads the mirror, in milliseconds and without the
network (unless the mirror turns out damaged, or a commit is asked for that no branch leads to any more).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from adapters.errors import Invalid, NotFound
from adapters.git.command import Git, GitCredential, host_of
from adapters.git.messages import MirrorDamaged, UnknownRevision, UntrustedHost, UnusableKey
from adapters.git.mirror import Mirror
from adapters.git.names import (
    check_directory,
    check_revision,
    check_url,
    commit_url,
    is_commit,
    is_short_commit,
)
from adapters.git.records import (
    LOG_FORMAT,
    REF_FORMAT,
    Branch,
    Commit,
    RepositoryFacts,
    commits,
    refs,
    repository_facts,
)
from adapters.git.tree import Limits, Wanted, everything, read_tree

__all__ = [
    "Branch",
    "Commit",
    "GitCredential",
    "GitRepository",
    "Limits",
    "RepositoryFacts",
    "UntrustedHost",
    "UnusableKey",
    "commit_url",
]

FETCH_TIMEOUT = 300.0
CHECK_TIMEOUT = 15.0
TIDY_EVERY = 86400.0
TIDY_TIMEOUT = 60.0

_T = TypeVar("_T")


class GitRepository:
    """One repository, seen through its mirror.

    `url`: as people write it; `mirror`: the folder of all mirrors (each repository gets a directory of
    its own in it); `protocols`: which kinds of address are allowed, of `https`, `ssh`, `http`, `file`.
    Raises Invalid for a bad address.
    """

    def __init__(
        self, url: str, *, mirror: Path, credential: GitCredential | None, protocols: tuple[str, ...]
    ) -> None:
        self.url = check_url(url, protocols)
        self._git = Git(url, protocols, credential, mirror)
        self._mirror = Mirror(self._git, mirror)

    def fetch(self, max_age: float, *, timeout: float = FETCH_TIMEOUT) -> bool:
        """Make the mirror no older than `max_age` seconds (0: now). Returns whether the host was asked."""
        return self._mirror.fetch(max_age, timeout=timeout)

    def fetched_at(self) -> datetime | None:
        """When the mirror was last brought up to date with this credential."""
        seconds = self._mirror.fetched_at()
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

    def tidy(self, max_age: float = TIDY_EVERY, *, timeout: float = TIDY_TIMEOUT) -> bool:
        """Pack what fetches have added to the mirror, unless that was done within `max_age` seconds; nothing is lost.

        Returns whether it was done now. Raises TimedOut while another process fetches, or when it takes too long.
        """
        return self._mirror.tidy(max_age=max_age, timeout=timeout)

    def check(self, *, timeout: float = CHECK_TIMEOUT) -> RepositoryFacts:
        """Ask the host, without a mirror: is the repository there and may we read it?"""
        command = ["ls-remote", "--symref", "--", self.url, "HEAD", "refs/heads/*"]
        return repository_facts(self._git.remote(command, timeout=timeout).decode(errors="replace"))

    def resolve(self, text: str) -> Commit:
        """The commit that a person's words name: a full or short commit, a branch, a tag.

        A branch goes before a tag of the same name; `refs/heads/…` and `refs/tags/…` say which is meant.
        Raises NotFound when nothing has that name, Invalid when it is no name at all or when several
        commits answer to it: then a sentence says which.
        """
        name = check_revision(text.strip())
        found = self._candidates(name)
        if not found:
            raise self._unknown(name)
        if len(found) > 1:
            raise _ambiguous(name, found)
        return self.log(None, found[0], 1)[0]

    def branches(self) -> list[Branch]:
        """All branches, the one with the newest commit first."""
        return [Branch(name, commit) for name, commit in self._refs("refs/heads/", "-committerdate")]

    def log(
        self, base: str | None, head: str, limit: int, *, first_parent: bool = False, ask_host: bool = True
    ) -> list[Commit]:
        """The newest `limit` commits that `head` has and `base` lacks (all, without a base). Both are full commits.

        `first_parent`: the branch's own line only; what a merge brought in counts as that merge.
        `ask_host=False`: only what the mirror has; a commit that it lacks is NotFound at once.
        """
        span = [head] if base is None else [head, f"^{base}"]
        options = ["--first-parent"] if first_parent else []
        self._require(head, *([base] if base else []), ask_host=ask_host)
        return commits(
            self._read(["log", "-z", f"--max-count={limit}", LOG_FORMAT, *options, "--end-of-options", *span])
        )

    def count(self, base: str, head: str) -> tuple[int, int]:
        """How many commits `head` is (ahead of, behind) `base`. Both are full commits."""
        self._require(base, head)
        out = self._read(["rev-list", "--left-right", "--count", "--end-of-options", f"{base}...{head}"])
        behind, ahead = out.split()
        return int(ahead), int(behind)

    def files(
        self, sha: str, directory: str, *, recursive: bool = True, limits: Limits | None = None,
        wanted: Wanted = everything,
    ) -> dict[str, bytes]:  # fmt: skip
        """The files of a directory at a full commit, by their path relative to it; `""` or `.` is the root.

        `recursive=False` reads the directory's own files only; `wanted` says by its path whether a file is
        read. Raises NotFound when the commit or the directory is not there, Invalid for symbolic links,
        submodules, Git LFS pointers and what exceeds `limits`.
        """
        path = check_directory(directory)
        self._require(sha)
        return self._healing(
            lambda: read_tree(
                self._local, sha, path, recursive=recursive, limits=limits or Limits(), wanted=wanted
            )
        )

    def _candidates(self, name: str) -> list[str]:
        """The commits a name may mean. Up to six digits are a short commit only where no branch or tag is so called."""
        if is_commit(name):
            return [sha] if (sha := self._commit_behind(name)) else []
        named = self._named(name)
        may_be_short = is_short_commit(name) and (not named or len(name) >= 7)
        by_number = self._short(name.lower()) if may_be_short else []
        return list(dict.fromkeys([*named, *by_number]))

    def _named(self, name: str) -> list[str]:
        """The commit of the branch, else of the tag, of that name."""
        spelled_out = name.startswith(("refs/heads/", "refs/tags/"))
        wanted = [name] if spelled_out else [f"refs/heads/{name}", f"refs/tags/{name}"]
        # The type is asked for so that Git looks at the object: a reference into nothing is damage, not
        # absence.
        existing = self._read(["for-each-ref", "--format=%(refname) %(objecttype)", *wanted])
        names = [line.split(" ")[0] for line in existing.splitlines()]
        found = next((ref for ref in wanted if ref in names), "")
        return [sha] if found and (sha := self._commit_behind(found)) else []

    def _short(self, prefix: str) -> list[str]:
        """The full numbers of the commits that begin so."""
        objects = self._read(["rev-parse", f"--disambiguate={prefix}"]).split()
        return [sha for sha in objects if self._commit_behind(sha) == sha]

    def _commit_behind(self, name: str) -> str:
        """The full commit that a full reference or number leads to; empty when there is none."""
        question = f"{name}^{{commit}}\n".encode()
        answer = self._healing(lambda: self._local(["cat-file", "--batch-check"], question))
        fields = answer.decode(errors="replace").split()
        return fields[0] if len(fields) == 3 and fields[1] == "commit" else ""

    def _require(self, *shas: str, ask_host: bool = True) -> None:
        """Raise unless each is a commit that the mirror has; what it lacks is asked of the host, once.

        Only for commits that were resolved before (a release's revision whose branch is gone since):
        hosts hand out by number what never was on a branch, even commits of strangers' forks, so
        `resolve` does not come here.
        """
        for sha in shas:
            if not is_commit(sha):
                raise Invalid("A full commit of forty digits is needed.", system="Git")
            if self._commit_behind(sha) != sha:
                if not ask_host:
                    raise self._unknown(sha)
                self._bring(sha)

    def _bring(self, sha: str) -> None:
        try:
            self._mirror.fetch_commit(sha, timeout=CHECK_TIMEOUT)
        except UnknownRevision:
            raise self._unknown(sha) from None

    def _refs(self, below: str, order: str) -> list[tuple[str, Commit]]:
        return list(refs(self._read(["for-each-ref", f"--sort={order}", REF_FORMAT, below]), below))

    def _read(self, args: Sequence[str]) -> str:
        return self._healing(lambda: self._local(args)).decode(errors="replace")

    def _local(self, args: Sequence[str], stdin: bytes = b"", max_output: int = 64_000_000) -> bytes:
        self._mirror.require()
        return self._git.local([*self._mirror.arguments(), *args], stdin=stdin, max_output=max_output)

    def _healing(self, read: Callable[[], _T]) -> _T:
        """Read; if the mirror turns out damaged, make it anew from the host and read once more."""
        began = time.time()
        try:
            return read()
        except MirrorDamaged:
            self._mirror.rebuild(unless_since=began, timeout=FETCH_TIMEOUT)
            return read()

    def _unknown(self, name: str) -> NotFound:
        shown = name[:7] if is_commit(name) else name
        hint = "Enter a commit (short or full), a branch or a tag. Was it pushed?"
        message = f"The repository on {host_of(self.url)} has no revision “{shown}”."
        return NotFound(message, system="Git", hint=hint)


def _ambiguous(name: str, shas: list[str]) -> Invalid:
    shown = ", ".join(sha[:12] for sha in shas[:4]) + (" and more" if len(shas) > 4 else "")
    hint = "Write more digits of the commit, or refs/heads/… for a branch and refs/tags/… for a tag."
    return Invalid(f"“{name}” may mean several commits: {shown}.", system="Git", hint=hint)
