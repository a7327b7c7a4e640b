"""One commit as a checkout has it: its files' names and sizes, single files, and all of it as a stream.

Nothing is unpacked to a disk. Submodules are left out, and what Git LFS keeps elsewhere stays a pointer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from adapters.errors import Invalid
from adapters.git.command import Git
from adapters.git.mirror import Mirror
from adapters.git.names import check_directory
from adapters.git.tree import Entry, LocalGit, contents_of, entries_below, entry_at

LFS_MARK = b"version https://git-lfs.github.com/spec/"
# An archive leaves files out, and fills in others, as the repository's attributes say; a checkout does neither.
_ATTRIBUTES = "* -export-ignore -export-subst\n"


@dataclass(frozen=True)
class Snapshot:
    """The files of the commit `sha`. Its methods read the mirror only."""

    git: Git
    mirror: Mirror
    local: LocalGit
    sha: str

    def entries(self, directory: str, *, most: int) -> list[Entry]:
        """Files, links and submodules below a directory (`""` or `.`: the root), by relative path. Raises NotFound, Invalid
        (no directory, a link to one, more than `most`)."""
        return entries_below(self.local, self.sha, check_directory(directory), most)

    def entry(self, path: str) -> Entry | None:
        """The file, link, submodule or directory at a path; None where there is none."""
        return entry_at(self.local, self.sha, path)

    def content(self, entry: Entry, *, most: int) -> bytes:
        """The content of a file, of a link its target. Raises Invalid for more than `most` bytes."""
        if entry.size > most:
            raise Invalid(f"{entry.path} is larger than {most} bytes.", system="Git")
        return contents_of(self.local, [entry])[0]

    def targets(self, entries: Sequence[Entry]) -> list[str]:
        """The targets of symbolic links."""
        return [target.decode(errors="replace") for target in contents_of(self.local, entries)]

    @contextlib.contextmanager
    def archive(self, directory: str) -> Iterator[IO[bytes]]:
        """A tar of a directory, with modes and links as a checkout has them, as it comes. Raises ExternalError when Git fails."""
        self._check_out_plainly()
        path = check_directory(directory)
        tree = f"{self.sha}:{path}" if path else self.sha
        command = [*self.mirror.arguments(), "-c", "tar.umask=0022", "archive", "--format=tar", tree]
        with self.git.streamed(command) as output:
            yield output

    def _check_out_plainly(self) -> None:
        """Writes the attributes that go before the repository's own. Processes may do it at once: the rename is atomic."""
        place = self.mirror.path / "info" / "attributes"
        with contextlib.suppress(OSError):
            if place.read_text() == _ATTRIBUTES:
                return
        place.parent.mkdir(exist_ok=True)
        new = Path(f"{place}.{os.getpid()}")
        new.write_text(_ATTRIBUTES)
        new.replace(place)
