"""Reads a directory of one revision from a mirror, within limits, without a working copy.

It checks sizes before it reads any content, so that a huge file costs nothing. It ignores the repository's attributes
and filters, and refuses links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.errors import Invalid, NotFound
from adapters.git.messages import MirrorDamaged

_LINK, _SUBMODULE, _DIRECTORY = "120000", "160000", "040000"
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Limits:
    """Limits for reading a directory: bytes of a file, bytes of all files, number of files."""

    file_bytes: int = 5_000_000
    total_bytes: int = 50_000_000
    files: int = 5_000


class LocalGit(Protocol):
    """A function that runs a Git command on the mirror and returns its output."""

    def __call__(self, args: Sequence[str], stdin: bytes = b"", max_output: int = ...) -> bytes: ...


Wanted = Callable[[str], bool]


def everything(path: str) -> bool:
    """Wants every file."""
    return True


@dataclass(frozen=True)
class Entry:
    """One file, link or submodule of a tree. `size` in bytes; 0 for a submodule."""

    mode: str
    oid: str
    size: int
    path: str

    @property
    def is_file(self) -> bool:
        """A plain file."""
        return self.mode not in (_LINK, _SUBMODULE, _DIRECTORY)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return self.mode == _LINK

    @property
    def is_submodule(self) -> bool:
        """A commit of another repository."""
        return self.mode == _SUBMODULE


def read_tree(
    git: LocalGit, sha: str, directory: str, *, recursive: bool, limits: Limits, wanted: Wanted = everything
) -> dict[str, bytes]:
    """The files below `directory` (empty: the root) at the commit `sha` (full hash), by relative path. Files that are not
    `wanted` are left out, even those that could not be read.

    Raises NotFound when the directory does not exist, Invalid for links, submodules, LFS pointers and files beyond
    `limits`.
    """
    tree = _find_directory(git, sha, directory) if directory else sha
    entries = _list(git, ["-l", *(["-r"] if recursive else [])], tree)
    looked_at = [entry for entry in entries if entry.mode == _DIRECTORY or wanted(entry.path)]
    files = [entry for entry in looked_at if _is_readable(entry, directory, recursive=recursive)]
    _check_limits(files, directory, limits)
    contents = _contents(git, [entry.oid for entry in files], sum(entry.size for entry in files))
    found = dict(zip((entry.path for entry in files), contents, strict=True))
    for path, content in found.items():
        if content.startswith(_LFS):
            raise _refused(directory, path, "is kept in Git LFS", "Keep manifests in the repository itself.")
    return found


def _find_directory(git: LocalGit, sha: str, directory: str) -> str:
    """The hash of the directory's tree."""
    found = _list(git, [], sha, directory)
    if not found:
        raise NotFound(
            f"There is no directory “{directory}” in revision {sha[:7]}.",
            system="Git",
            hint="Check the directory in the environment's settings, or choose a revision that has it.",
        )
    if found[0].mode != _DIRECTORY:
        kind = {_LINK: "a symbolic link", _SUBMODULE: "a submodule"}.get(found[0].mode, "a file")
        raise Invalid(
            f"“{directory}” is {kind} in revision {sha[:7]}, not a directory.",
            system="Git",
            hint="Enter a directory that lies in the repository itself.",
        )
    return found[0].oid


def entries_below(git: LocalGit, sha: str, directory: str, most: int) -> list[Entry]:
    """Every file, link and submodule below `directory` (empty: the root) at the commit, by relative path, without their
    contents. Raises NotFound, Invalid (no directory, more than `most` entries)."""
    tree = _find_directory(git, sha, directory) if directory else sha
    found = _list(git, ["-l", "-r"], tree)
    if len(found) > most:
        raise _refused(directory, "", f"holds {len(found)} files; {most} are taken at most")
    return found


def entry_at(git: LocalGit, sha: str, path: str) -> Entry | None:
    """The entry of one path at the commit; None without one."""
    found = _list(git, ["-l"], sha, path)
    return found[0] if found else None


def contents_of(git: LocalGit, entries: Sequence[Entry]) -> list[bytes]:
    """The contents of files, of links their targets."""
    return _contents(git, [entry.oid for entry in entries], sum(entry.size for entry in entries))


def _list(git: LocalGit, options: list[str], tree: str, *paths: str) -> list[Entry]:
    out = git(["ls-tree", "-z", "--full-tree", *options, tree, "--", *paths])
    return [_entry(row) for row in out.split(b"\0") if row]


def _entry(row: bytes) -> Entry:
    """One row of `ls-tree`: `mode type object [size]<tab>path`; the size is a dash for objects without one."""
    facts, _, path = row.partition(b"\t")
    mode, _, oid, *size = facts.decode().split()
    try:
        name = path.decode()
    except UnicodeDecodeError:
        raise Invalid("A file's name in the repository is not UTF-8.", system="Git") from None
    return Entry(mode, oid, int(size[0]) if size and size[0] != "-" else 0, name)


def _is_readable(entry: Entry, directory: str, *, recursive: bool) -> bool:
    """Whether the entry is a plain file. Raises Invalid for links and submodules, whose content is elsewhere."""
    if entry.mode == _LINK:
        hint = "Replace the link by the file; links are not followed."
        raise _refused(directory, entry.path, "is a symbolic link", hint)
    if entry.mode == _SUBMODULE and recursive:
        raise _refused(directory, entry.path, "is a submodule", "Submodules are not fetched.")
    return entry.mode not in (_DIRECTORY, _SUBMODULE)


def _check_limits(files: list[Entry], directory: str, limits: Limits) -> None:
    if len(files) > limits.files:
        raise _refused(directory, "", f"holds {len(files)} files; {limits.files} are read at most")
    for entry in files:
        if entry.size > limits.file_bytes:
            reason = f"is {_megabytes(entry.size)} large; {_megabytes(limits.file_bytes)} are read at most"
            raise _refused(directory, entry.path, reason)
    total = sum(entry.size for entry in files)
    if total > limits.total_bytes:
        reason = f"holds {_megabytes(total)}; {_megabytes(limits.total_bytes)} are read at most"
        raise _refused(directory, "", reason)


def _contents(git: LocalGit, oids: list[str], total: int) -> list[bytes]:
    """The blobs' contents in order. `cat-file --batch` prints `object type size`, a newline, the content, a newline."""
    if not oids:
        return []
    out = git(["cat-file", "--batch"], "\n".join(oids).encode(), total + 200 * len(oids))
    contents, position = [], 0
    for oid in oids:
        end = out.find(b"\n", position)
        head = out[position:end].split()
        if len(head) != 3 or head[0].decode() != oid:
            raise MirrorDamaged("The portal's copy of the repository lacks a file.", system="Git")
        start, size = end + 1, int(head[2])
        contents.append(out[start : start + size])
        position = start + size + 1
    return contents


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def _refused(directory: str, path: str, reason: str, hint: str = "") -> Invalid:
    place = "/".join(part for part in (directory, path) if part) or "The repository's root"
    return Invalid(f"{place} {reason}.", system="Git", hint=hint)
