"""Makes a sample project's bare repository with its whole history, in one pass through `git fast-import`.

The same sample, start time and registry give the same commit ids.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.samples.model import Change, SampleProject

FILES = Path(__file__).resolve().parent / "files"
_HOST_MARK = "REGISTRY_HOST"  # placeholder in the sample files for the registry's host and port

_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_DEFAULT_BRANCH": "main",
    "LC_ALL": "C",
}


@dataclass(frozen=True)
class Revision:
    """One commit: its id, its branch, and its files by path."""

    commit: str
    branch: str
    made_at: datetime
    files: dict[str, bytes]


def make_repository(
    sample: SampleProject, path: Path, *, start: datetime, registry_host: str
) -> list[Revision]:
    """Makes the bare repository `path` anew and returns its revisions, main first, each branch oldest first.

    `start`: the time of the sandbox's first start; each change is its `hours` earlier.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    _git(path, "init", "--quiet", "--bare", f"--initial-branch={sample.default_branch}", ".")
    main = _grow({}, sample, sample.main, registry_host)
    grown = [(sample.default_branch, sample.main, main)]
    grown += [
        (name, changes, _grow(main[-1], sample, changes, registry_host)) for name, changes in sample.branches
    ]
    stream = _Stream(start)
    for name, changes, trees in grown:
        stream.branch(name, changes, trees, parent=len(main) if trees is not main else 0)
    _git(path, "fast-import", "--quiet", "--export-marks=marks", stdin=stream.bytes())
    _configure(path, sample.description)
    commits = _read_marks(path / "marks")
    made = [
        (name, change, tree)
        for name, changes, trees in grown
        for change, tree in zip(changes, trees, strict=True)
    ]
    return [
        Revision(commits[mark], branch, start - timedelta(hours=change.hours), tree)
        for mark, (branch, change, tree) in enumerate(made, start=1)
    ]


def _grow(
    files: dict[str, bytes], sample: SampleProject, changes: Sequence[Change], registry_host: str
) -> list[dict[str, bytes]]:
    """The files after each change."""
    trees = []
    for change in changes:
        files = {**files, **_added(sample, change, registry_host)}
        for edit in change.edits:
            text = files[edit.path].decode()
            if text.count(edit.old) != 1:
                raise ValueError(f"{sample.slug}: {change.subject!r} wants {edit.old!r} once in {edit.path}")
            files[edit.path] = text.replace(edit.old, edit.new).encode()
        trees.append(files)
    return trees


def _added(sample: SampleProject, change: Change, registry_host: str) -> dict[str, bytes]:
    root = FILES / sample.files
    found: dict[str, bytes] = {}
    for name in change.add:
        place = root / name
        paths = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for file in paths:
            text = file.read_text().replace(_HOST_MARK, registry_host)
            found[file.relative_to(root).as_posix()] = text.encode()
    return found


class _Stream:
    """The input of `git fast-import` (git-fast-import(1)); commits are numbered from 1."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.parts: list[bytes] = []
        self.mark = 0

    def branch(
        self, name: str, changes: Sequence[Change], trees: Sequence[dict[str, bytes]], *, parent: int
    ) -> None:
        """Adds one commit per change; the first one's parent is commit number `parent` (0: none)."""
        for change, tree in zip(changes, trees, strict=True):
            self.mark += 1
            when = int((self.start - timedelta(hours=change.hours)).timestamp())
            who = f"{change.author.name} <{change.author.email}> {when} +0000"
            self._line(f"commit refs/heads/{name}\nmark :{self.mark}\nauthor {who}\ncommitter {who}")
            self._data((change.subject + "\n" + (f"\n{change.body}\n" if change.body else "")).encode())
            if parent:
                self._line(f"from :{parent}")
            self._line("deleteall")
            for path, content in sorted(tree.items()):
                self._line(f"M 100644 inline {path}")
                self._data(content)
            parent = self.mark

    def _line(self, text: str) -> None:
        self.parts.append(text.encode() + b"\n")

    def _data(self, content: bytes) -> None:
        self.parts.append(b"data %d\n%s\n" % (len(content), content))

    def bytes(self) -> bytes:
        return b"".join(self.parts)


def _read_marks(path: Path) -> dict[int, str]:
    """Commit ids by their numbers."""
    lines = [line.split() for line in path.read_text().splitlines()]
    path.unlink()
    return {int(mark.removeprefix(":")): commit for mark, commit in lines}


def _configure(path: Path, description: str) -> None:
    """Configures the repository for serving over HTTP, and for pushing from a clone."""
    (path / "description").write_text(description + "\n")
    for name, value in {"http.receivepack": "true", "uploadpack.allowFilter": "true", "gc.auto": "0"}.items():
        _git(path, "config", name, value)


def _git(path: Path, *args: str, stdin: bytes = b"") -> None:
    subprocess.run(["git", *args], cwd=path, env=_ENVIRONMENT, input=stdin, check=True, capture_output=True)
