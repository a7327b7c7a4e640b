"""The context of a build, from a revision: planned and checked by names and sizes before anything is sent, then streamed.

The tar of Git passes through: headers are written anew, contents are copied piece by piece. No file touches a disk.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from posixpath import dirname, join, normpath, relpath
from typing import IO

from adapters.docker.faults import SYSTEM, BuildFailed
from adapters.docker.ignoring import Ignored
from adapters.errors import Invalid, NotFound
from adapters.git.snapshot import LFS_MARK, Snapshot
from adapters.git.tree import Entry

MOST_FILES = 200_000
LARGEST_DOCKERFILE = 1_000_000
_OUTSIDE = ".slipway.dockerfile"  # the name, in the context, of a Dockerfile that lies outside of it
_BLOCK, _PIECE = tarfile.BLOCKSIZE, 262_144
_LARGEST_POINTER = 1024
_LONGEST_PATH = 4096
Lines = Callable[[str], None]


@dataclass(frozen=True)
class Context:
    """A checked context. `dockerfile`: its path in the tar; `content`: its bytes, which are sent as they were checked; `extra`:
    files that are not from the directory;
    `wanted`: paths to send; `size`: their bytes; `left_out`: how many `.dockerignore` takes away; `submodules`, `escaping`:
    paths of submodules, and of links that lead out of the context."""

    snapshot: Snapshot
    directory: str
    dockerfile: str
    content: bytes
    extra: dict[str, bytes]
    wanted: frozenset[str]
    size: int
    left_out: int
    submodules: tuple[str, ...]
    escaping: tuple[str, ...]

    @property
    def text(self) -> str:
        """The Dockerfile's text."""
        return self.content.decode(errors="replace")


def plan(snapshot: Snapshot, *, directory: str, dockerfile: str, most_bytes: int) -> Context:
    """Reads names and sizes, the Dockerfile and `.dockerignore`. `dockerfile`: its path from the repository's root.

    Raises BuildFailed: no Dockerfile or directory, a Dockerfile that is a link out of the context, or more than `most_bytes`.
    """
    folder = "" if directory in ("", ".") else directory.strip("/")
    try:
        entries = snapshot.entries(folder, most=MOST_FILES)
    except (NotFound, Invalid) as error:
        raise BuildFailed(
            f"The context cannot be used: {error.message}", system="Git", hint=error.hint
        ) from None
    name, content, is_outside = _dockerfile(snapshot, folder, dockerfile)
    ignored = _ignored(_ignore_file(snapshot, name, entries, is_outside=is_outside))
    # The engine needs these two, whatever the patterns say; it takes them away itself.
    kept = [one for one in entries if one.path in (name, ".dockerignore") or not ignored(one.path)]
    size = sum(one.size for one in kept) + (len(content) if is_outside else 0)
    if size > most_bytes:
        raise _too_large(size, most_bytes, kept)
    return Context(
        snapshot, folder, name, content, {name: content} if is_outside else {},
        frozenset(one.path for one in kept), size, len(entries) - len(kept),
        tuple(one.path for one in kept if one.is_submodule), tuple(_escaping(snapshot, kept)),
    )  # fmt: skip


def dockerfile_text(snapshot: Snapshot, path: str) -> str:
    """The text of a Dockerfile, by its path from the repository's root. Raises BuildFailed without one, ExternalError."""
    return _dockerfile(snapshot, "", path)[1].decode(errors="replace")


def _dockerfile(snapshot: Snapshot, folder: str, path: str) -> tuple[str, bytes, bool]:
    """The Dockerfile's name in the context, its content, and whether it lies outside of the context."""
    wanted = normpath(path)
    entry = snapshot.entry(wanted)
    for _ in range(5):
        if entry is None or not entry.is_link:
            break
        target = normpath(
            join(dirname(wanted), snapshot.content(entry, most=_LONGEST_PATH).decode(errors="replace"))
        )
        if target.startswith(("/", "../")) or target == "..":
            raise BuildFailed(
                f"The Dockerfile {path} is a symbolic link that leads out of the repository ({target}).", system="Git",
                hint="Put the Dockerfile itself into the repository.",
            )  # fmt: skip
        wanted, entry = target, snapshot.entry(target)
    if entry is None or not entry.is_file:
        raise BuildFailed(
            f"There is no Dockerfile {path} in revision {snapshot.sha[:7]}.", system="Git",
            hint="Check its path in the image's settings, or choose a revision that has it.",
        )  # fmt: skip
    content = snapshot.content(entry, most=LARGEST_DOCKERFILE)
    inside = not folder or wanted.startswith(f"{folder}/")
    return (relpath(wanted, folder or "."), content, False) if inside else (_OUTSIDE, content, True)


def _ignore_file(snapshot: Snapshot, name: str, entries: Sequence[Entry], *, is_outside: bool) -> str:
    """The text of `<Dockerfile>.dockerignore`, which goes first, else of `.dockerignore`; empty without one."""
    by_path = {one.path: one for one in entries if one.is_file}
    for path in ([] if is_outside else [f"{name}.dockerignore"]) + [".dockerignore"]:
        if path in by_path:
            return snapshot.content(by_path[path], most=LARGEST_DOCKERFILE).decode(errors="replace")
    return ""


def _ignored(text: str) -> Ignored:
    try:
        return Ignored(text)
    except re.error:
        raise BuildFailed(
            "The file .dockerignore has a pattern that cannot be read, such as [z-a].", system="Git"
        ) from None


def _escaping(snapshot: Snapshot, entries: Sequence[Entry]) -> Iterator[str]:
    """Links whose targets are not in the context. The engine never follows them out of it."""
    links = [one for one in entries if one.is_link and one.size <= _LONGEST_PATH]
    for one, target in zip(links, snapshot.targets(links), strict=True):
        place = normpath(join(dirname(one.path), target))
        if target.startswith("/") or place == ".." or place.startswith("../"):
            yield one.path


def _too_large(size: int, most: int, entries: Sequence[Entry]) -> BuildFailed:
    largest = sorted(entries, key=lambda one: one.size, reverse=True)[:3]
    named = ", ".join(f"{one.path} ({_megabytes(one.size)})" for one in largest)
    return BuildFailed(
        f"The context is {_megabytes(size)} large; {_megabytes(most)} are sent at most. The largest files: {named}.",
        system="Git", hint="Leave out what the build does not need by .dockerignore, or raise BUILD_CONTEXT_MB.",
    )  # fmt: skip


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def stream(context: Context, *, pointers: Lines) -> Iterator[bytes]:
    """The context as a tar, piece by piece. `pointers`: told the path of each file that is only a pointer of Git LFS.

    Raises ExternalError when Git fails in the middle."""
    folders = {place for path in context.wanted for place in _above(path)}
    with context.snapshot.archive(context.directory) as output:
        # First a small file with a short name: BuildKit tells a tar by its first kilobyte.
        for name, content in context.extra.items():
            yield from _small(name, content)
        with tarfile.open(fileobj=output, mode="r|") as archive:
            for member in archive:
                path = member.name.rstrip("/")
                if path == context.dockerfile and not member.isdir():
                    # Attributes of the repository (an encoding) could make another text of it than the one that was checked; and
                    # a file of the repository may have the name that one from outside gets.
                    yield from _small(path, context.content, member.mode)
                elif path in context.wanted or (member.isdir() and path in folders):
                    yield from _copied(archive, member, pointers)
    yield bytes(2 * _BLOCK)


def _above(path: str) -> Iterator[str]:
    while path := dirname(path):
        yield path


def _small(name: str, content: bytes, mode: int = 0o644) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    yield member.tobuf(tarfile.GNU_FORMAT)
    yield content + bytes(-len(content) % _BLOCK)


def _copied(archive: tarfile.TarFile, member: tarfile.TarInfo, pointers: Lines) -> Iterator[bytes]:
    member.pax_headers = {}
    yield member.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")
    source: IO[bytes] | None = archive.extractfile(member) if member.isreg() else None
    if source is None:
        return
    left = member.size
    while left:
        piece = source.read(min(_PIECE, left))
        if not piece:
            raise BuildFailed(
                "The portal's copy of the repository broke off.", system=SYSTEM, permanent=False
            )
        if left == member.size <= _LARGEST_POINTER and piece.startswith(LFS_MARK):
            pointers(member.name)
        left -= len(piece)
        yield piece
    yield bytes(-member.size % _BLOCK)
