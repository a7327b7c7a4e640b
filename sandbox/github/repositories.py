"""What the GitHub end knows of the sandbox's bare repositories: commits, refs, and what a push changed."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.github.refusals import Json

OWNER = "sandbox"  # of all repositories
NOTHING = "0" * 40
_MOST_COMMITS = 2048  # in one push event
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FORMAT = "%H%x00%T%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B%x01"


@dataclass(frozen=True)
class Update:
    """One ref that a push changed. A commit of zeros stands for none: the ref is new, or gone."""

    ref: str
    before: str
    after: str


@dataclass(frozen=True)
class Repositories:
    """The bare repositories `folder/<name>.git`, which belong to OWNER."""

    folder: Path

    def place(self, owner: str, name: str) -> Path | None:
        """The folder of a repository; None when there is none."""
        found = self.folder / f"{name}.git"
        known = owner.lower() == OWNER and _NAME.fullmatch(name) and found.is_dir()
        return found if known else None

    def commit(self, place: Path, text: str) -> str:
        """The commit that a ref or hash names; empty when there is none."""
        if text.startswith("-"):
            return ""
        return _git(place, "rev-parse", "--quiet", "--verify", f"{text}^{{commit}}", fails_with="").strip()

    def default_branch(self, place: Path) -> str:
        """The name of the branch that HEAD names."""
        return _git(place, "symbolic-ref", "--short", "HEAD").strip()

    def is_forced(self, place: Path, update: Update) -> bool:
        """Whether the update dropped commits of its ref."""
        if NOTHING in (update.before, update.after):
            return False
        base = _git(place, "merge-base", update.before, update.after, fails_with="").strip()
        return base != update.before

    def new_commits(self, place: Path, update: Update) -> list[Json]:
        """The commits that the update brought to its ref, oldest first, each with the paths that it changed."""
        if update.after == NOTHING:
            return []
        span = [update.after, f"^{update.before}"]
        if update.before == NOTHING:
            others = [f"--exclude={update.ref}", "--all"]
            span = [update.after, "--not", *others]
        text = _git(place, "log", f"--max-count={_MOST_COMMITS}", "--reverse", f"--format={_FORMAT}", *span)
        return [self._commit(place, record) for record in text.split("\x01") if record.strip()]

    def head_commit(self, place: Path, commit: str) -> Json | None:
        """The commit itself; None for zeros."""
        if commit == NOTHING:
            return None
        text = _git(place, "log", "--max-count=1", f"--format={_FORMAT}", commit)
        return self._commit(place, text.partition("\x01")[0])

    def _commit(self, place: Path, record: str) -> Json:
        commit, tree, author, email, committer, committed_by, when, message = record.lstrip("\n").split("\0")
        return {
            "id": commit,
            "tree_id": tree,
            "distinct": True,
            "message": message.strip(),
            "timestamp": when,
            "author": {"name": author, "email": email, "username": email.partition("@")[0]},
            "committer": {"name": committer, "email": committed_by, "username": committed_by.partition("@")[0]},
            **_changes(place, commit),
        }  # fmt: skip


def refs(place: Path) -> dict[str, str]:
    """All refs of a repository with the objects that they name."""
    lines = _git(place, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def updates(before: dict[str, str], after: dict[str, str]) -> list[Update]:
    """The refs that differ."""
    return [
        Update(ref, before.get(ref, NOTHING), after.get(ref, NOTHING))
        for ref in sorted(before.keys() | after.keys())
        if before.get(ref) != after.get(ref)
    ]


def _changes(place: Path, commit: str) -> Json:
    """The paths that a commit added, removed and modified, against its first parent."""
    text = _git(place, "diff-tree", "--root", "-r", "-z", "--no-commit-id", "--name-status", "--no-renames", "-m",
                "--first-parent", commit)  # fmt: skip
    parts = text.split("\0")
    found: Json = {"added": [], "removed": [], "modified": []}
    for kind, path in zip(parts[::2], parts[1::2], strict=False):
        found[{"A": "added", "D": "removed"}.get(kind, "modified")].append(path)
    return found


def _git(place: Path, *arguments: str, fails_with: str | None = None) -> str:
    """Git's output. `fails_with`: the answer instead of an error."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(place),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(["git", *arguments], cwd=place, env=env, capture_output=True, check=False)
    if done.returncode != 0:
        if fails_with is not None:
            return fails_with
        raise OSError(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode(errors="replace")
