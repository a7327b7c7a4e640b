"""The tags of a build's images, and the names of our labels. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LABEL_BUILD, LABEL_PROJECT, LABEL_IMAGE = "slipway.dev/build", "slipway.dev/project", "slipway.dev/image"
LATEST = "latest"
_LONGEST = 128
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9._-]+")
_REVISION = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True)
class Tags:
    """`fixed`: of this revision, the full one first; `moving`: of the branch, which go on to newer images; `left_out`:
    Git tags that would be taken for one of the others."""

    fixed: tuple[str, ...]
    moving: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, in the order in which they are pushed: what deploys look for comes first."""
        return self.fixed + self.moving


def tags_of(revision: str, *, branch: str, git_tags: Iterable[str], default_branch: str) -> Tags:
    """The tags for images of a revision that came by `branch` (empty: by none) and has these Git tags."""
    named = {name: as_tag(name) for name in git_tags}
    taken = [name for name, tag in named.items() if _is_taken(tag)]
    own = [tag for name, tag in named.items() if name not in taken]
    moving = [branch_tag(branch)] if branch else []
    if branch and branch == default_branch:
        moving.append(LATEST)
    fixed = dict.fromkeys([revision, revision[:7], *own])
    return Tags(tuple(fixed), tuple(moving), tuple(taken))


def branch_tag(branch: str) -> str:
    """The tag of a branch's newest image."""
    return as_tag(f"branch-{branch}")


def as_tag(name: str) -> str:
    """A name of Git as a tag: what a tag cannot have becomes a dash."""
    tag = _NOT_IN_TAG.sub("-", name)
    return (f"_{tag}" if tag[:1] in (".", "-", "") else tag)[:_LONGEST]


def _is_taken(tag: str) -> bool:
    return tag == LATEST or tag.startswith("branch-") or bool(_REVISION.fullmatch(tag))
