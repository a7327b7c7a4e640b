"""A push, as decisions see it: from a delivery's facts, or from what Git shows. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.git.repository import Commit

BRANCH, TAG = "refs/heads/", "refs/tags/"


@dataclass(frozen=True)
class Push:
    """`ref`: whole, such as `refs/heads/main`; `before`: the old head, empty for a new ref; `commit`: the new head, None where
    the sender does not tell it. `paths`: what changed, None where that is not known."""

    ref: str
    before: str = ""
    commit: Commit | None = None
    is_new: bool = False
    is_deleted: bool = False
    is_forced: bool = False
    paths: tuple[str, ...] | None = None
    sender: str = ""

    @property
    def branch(self) -> str:
        """The branch's name; empty for a tag."""
        return self.ref.removeprefix(BRANCH) if self.ref.startswith(BRANCH) else ""

    @property
    def tag(self) -> str:
        """The tag's name; empty for a branch."""
        return self.ref.removeprefix(TAG) if self.ref.startswith(TAG) else ""

    @property
    def name(self) -> str:
        """For sentences: `branch main`, `tag v1.2`."""
        return f"branch {self.branch}" if self.branch else f"tag {self.tag}" if self.tag else self.ref


def push_of(ref: str, before: str, sender: str, facts: dict[str, Any]) -> Push:
    """The push that a delivery's row holds. After a forced push the commits do not tell what changed."""
    forced = bool(facts.get("forced"))
    known = bool(facts.get("paths_are_all")) and not forced
    return Push(
        ref=ref,
        before=before,
        commit=_commit(facts),
        is_new=bool(facts.get("created")) or not before,
        is_deleted=bool(facts.get("deleted")),
        is_forced=forced,
        paths=tuple(facts.get("paths", ())) if known else None,
        sender=sender,
    )


def facts_of(push: Push) -> dict[str, Any]:
    """The same facts, to be stored in a row, of a push that was seen in Git."""
    commit = push.commit
    return {
        "created": push.is_new,
        "deleted": push.is_deleted,
        "forced": push.is_forced,
        "revision": commit.sha if commit else "",
        "subject": commit.subject if commit else "",
        "author": commit.author if commit else "",
        "authored_at": commit.authored_at.isoformat() if commit else "",
        "paths": list(push.paths or ()),
        "paths_are_all": push.paths is not None,
    }


def _commit(facts: dict[str, Any]) -> Commit | None:
    sha = str(facts.get("revision", ""))
    if not sha:
        return None
    written = str(facts.get("authored_at", ""))
    moment = datetime.fromisoformat(written) if written else datetime.fromtimestamp(0, UTC)
    return Commit(sha, str(facts.get("subject", "")), str(facts.get("author", "")), moment)
