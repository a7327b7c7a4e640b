"""Git repositories: a bare mirror on our disk as a cache, read by Git's own command line.

`fetch` and `check` talk to the host. All other methods read the mirror, in milliseconds and without the network, unless
the mirror is damaged or lacks a requested commit.
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
from adapters.git.snapshot import Snapshot
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
    """One repository, read through its mirror.

    `url`: the address as people write it; `mirror`: the folder of all mirrors, with a directory for each repository;
    `protocols`: the allowed ones of `https`, `ssh`, `http`, `file`; `networks`: private networks in which the host may be;
    `limit`: the most bytes of all mirrors together; `patience`: the most seconds for a fetch, or for making a damaged mirror
    anew. Raises Invalid for a bad address.
    """

    def __init__(
        self, url: str, *, mirror: Path, credential: GitCredential | None, protocols: tuple[str, ...],
        networks: tuple[str, ...] = (), limit: int | None = None, patience: float = FETCH_TIMEOUT,
    ) -> None:  # fmt: skip
        self.url = check_url(url, protocols)
        self._git = Git(url, protocols, credential, mirror, networks)
        self._mirror = Mirror(self._git, mirror, limit)
        self._patience = patience

    def fetch(self, max_age: float, *, timeout: float = FETCH_TIMEOUT) -> bool:
        """Fetches unless the mirror is at most `max_age` seconds old (0: always). Returns whether it asked the host."""
        return self._mirror.fetch(max_age, timeout=min(timeout, self._patience))

    def fetched_at(self) -> datetime | None:
        """The time of the last fetch with this credential, or None."""
        seconds = self._mirror.fetched_at()
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

    @property
    def mirror_name(self) -> str:
        """The name of the mirror's directory: one for each address and credential."""
        return self._mirror.path.name

    def tidy(self, max_age: float = TIDY_EVERY, *, timeout: float = TIDY_TIMEOUT) -> bool:
        """Packs the files that fetches added to the mirror, unless that was done within `max_age` seconds. Loses nothing.

        Returns whether it did so. Raises TimedOut while another process fetches, or when it takes too long.
        """
        return self._mirror.tidy(max_age=max_age, timeout=timeout)

    def check(self, *, timeout: float = CHECK_TIMEOUT) -> RepositoryFacts:
        """Asks the host, without the mirror, whether the repository exists and may be read. Raises ExternalError."""
        command = ["ls-remote", "--symref", "--", self.url, "HEAD", "refs/heads/*"]
        with self._mirror.forgotten_when_refused():
            answer = self._git.remote(command, timeout=timeout)
        return repository_facts(answer.decode(errors="replace"))

    def resolve(self, text: str) -> Commit:
        """The commit that a text names: a full or short commit hash, a branch or a tag.

        A branch takes precedence over a tag of the same name; `refs/heads/…` and `refs/tags/…` are unambiguous. Raises
        NotFound when nothing has that name, Invalid when the text is no name or fits several commits (the message lists
        them).
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

    def tags(self) -> list[Branch]:
        """All tags that lead to a commit, the newest one first."""
        return [Branch(name, commit) for name, commit in self._refs("refs/tags/", "-creatordate")]

    def contains(self, ref: str, sha: str) -> bool:
        """Whether a branch or tag (`refs/heads/…`) reaches a commit (full hash). Asks the mirror only."""
        check_revision(ref)
        if not is_commit(sha) or self._commit_behind(sha) != sha:
            return False
        return ref in self._read(["for-each-ref", "--format=%(refname)", f"--contains={sha}", ref]).split(
            "\n"
        )

    def changed_paths(self, base: str, head: str) -> list[str]:
        """The paths that differ between two commits (full hashes); a renamed file has both of its paths. Raises NotFound when
        neither the mirror nor the host has one of them."""
        self._require(base, head)
        out = self._read(["diff-tree", "-r", "--name-only", "-z", "--no-renames", base, head, "--"])
        return [path for path in out.split("\0") if path]

    def paths(self, sha: str) -> list[str]:
        """The paths of all files at a commit (full hash)."""
        self._require(sha)
        out = self._read(["ls-tree", "-r", "-z", "--name-only", "--full-tree", sha])
        return [path for path in out.split("\0") if path]

    def log(
        self, base: str | None, head: str, limit: int, *, first_parent: bool = False, ask_host: bool = True
    ) -> list[Commit]:
        """The newest `limit` commits that `head` has and `base` lacks (all, without a base). Both are full hashes.

        `first_parent`: follow only the first parent of merges. `ask_host=False`: raises NotFound at once for a commit that
        the mirror lacks.
        """
        span = [head] if base is None else [head, f"^{base}"]
        options = ["--first-parent"] if first_parent else []
        self._require(head, *([base] if base else []), ask_host=ask_host)
        return commits(
            self._read(["log", "-z", f"--max-count={limit}", LOG_FORMAT, *options, "--end-of-options", *span])
        )

    def count(self, base: str, head: str) -> tuple[int, int]:
        """The number of commits that `head` is (ahead of, behind) `base`. Both are full hashes."""
        self._require(base, head)
        out = self._read(["rev-list", "--left-right", "--count", "--end-of-options", f"{base}...{head}"])
        behind, ahead = out.split()
        return int(ahead), int(behind)

    def files(
        self, sha: str, directory: str, *, recursive: bool = True, limits: Limits | None = None,
        wanted: Wanted = everything,
    ) -> dict[str, bytes]:  # fmt: skip
        """The files of a directory at a commit (full hash), by their path relative to it; `""` or `.` is the root.

        `recursive=False` reads the directory's own files only; `wanted` decides by the path whether a file is read.
        Raises NotFound when the commit or the directory does not exist, Invalid for symbolic links, submodules, Git
        LFS pointers and files beyond `limits`.
        """
        path = check_directory(directory)
        self._require(sha)
        return self._healing(
            lambda: read_tree(
                self._local, sha, path, recursive=recursive, limits=limits or Limits(), wanted=wanted
            )
        )

    def snapshot(self, sha: str) -> Snapshot:
        """The files of a commit (full hash) as a checkout has them, for reading and streaming. Raises NotFound."""
        self._require(sha)
        return Snapshot(self._git, self._mirror, self._local, sha)

    def _candidates(self, name: str) -> list[str]:
        """The commits that a name may mean. A text of up to six digits is a short hash only if no branch or tag has that
        name."""
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
        # Asking for the type makes Git read the object: a dangling reference means damage, not absence.
        existing = self._read(["for-each-ref", "--format=%(refname) %(objecttype)", *wanted])
        names = [line.split(" ")[0] for line in existing.splitlines()]
        found = next((ref for ref in wanted if ref in names), "")
        return [sha] if found and (sha := self._commit_behind(found)) else []

    def _short(self, prefix: str) -> list[str]:
        """The full hashes that begin with `prefix`."""
        objects = self._read(["rev-parse", f"--disambiguate={prefix}"]).split()
        return [sha for sha in objects if self._commit_behind(sha) == sha]

    def _commit_behind(self, name: str) -> str:
        """The full hash of the commit behind a full reference or hash; empty when there is none."""
        question = f"{name}^{{commit}}\n".encode()
        answer = self._healing(lambda: self._local(["cat-file", "--batch-check"], question))
        fields = answer.decode(errors="replace").split()
        return fields[0] if len(fields) == 3 and fields[1] == "commit" else ""

    def _require(self, *shas: str, ask_host: bool = True) -> None:
        """Raises unless the mirror has each commit. Fetches missing commits from the host, once.

        Only for commits that were resolved before, such as a release's revision whose branch was deleted. Hosts serve any
        commit by full hash, even from forks; user input never reaches this.
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
            self._mirror.fetch_commit(sha, timeout=min(CHECK_TIMEOUT, self._patience))
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
        """Calls `read`; if the mirror is damaged, rebuilds it from the host and calls `read` once more."""
        began = time.time()
        try:
            return read()
        except MirrorDamaged:
            self._mirror.rebuild(unless_since=began, timeout=self._patience)
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
