"""The tags of a build's images, and the names of our labels. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from builds.pushes import BRANCH, TAG

LABEL_BUILD, LABEL_PROJECT, LABEL_IMAGE = "slipway.dev/build", "slipway.dev/project", "slipway.dev/image"
LATEST = "latest"
_LONGEST = 128
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9._-]+")
_REVISION = re.compile(r"[0-9a-f]{7,40}")
_MARK = 16  # hexadecimal digits: so many that nobody finds a second name with the same ones
_MARKED = re.compile(rf"-[0-9a-f]{{{_MARK}}}\Z")


@dataclass(frozen=True)
class RefTag:
    """A tag that follows a branch or a tag of Git. `ref`: whole, such as `refs/heads/main`."""

    tag: str
    ref: str


def revision_tags(revision: str) -> tuple[str, str]:
    """The tags that name the revision, in the order in which they are pushed: what deploys look for comes first."""
    return revision, revision[:7]


def tags_of_refs(refs: Iterable[str], default_branch: str) -> list[RefTag]:
    """The tags that follow these refs. Git tags that would be taken for other tags have none (`left_out`)."""
    found = list[RefTag]()
    for ref in dict.fromkeys(refs):
        if ref.startswith(BRANCH):
            branch = ref.removeprefix(BRANCH)
            found.append(RefTag(branch_tag(branch), ref))
            if branch == default_branch:
                found.append(RefTag(LATEST, ref))
        elif ref.startswith(TAG) and not _is_taken(as_tag(ref.removeprefix(TAG))):
            found.append(RefTag(as_tag(ref.removeprefix(TAG)), ref))
    return found


def left_out(refs: Iterable[str]) -> list[str]:
    """The Git tags that would be taken for other tags: for `latest`, a branch's or a revision's."""
    names = [ref.removeprefix(TAG) for ref in refs if ref.startswith(TAG)]
    return [name for name in names if _is_taken(as_tag(name))]


def branch_tag(branch: str) -> str:
    """The tag of a branch's newest image."""
    return as_tag(f"branch-{branch}")


def as_tag(name: str) -> str:
    """A name of Git as a tag. What a tag cannot have becomes a dash, and a long name is cut; then a part of the name's SHA-256
    follows, so that no two names have one tag. So it does where the name itself ends like that."""
    tag = _NOT_IN_TAG.sub("-", name)
    tag = f"_{tag}" if tag[:1] in (".", "-", "") else tag
    if tag == name and len(tag) <= _LONGEST and not _MARKED.search(tag):
        return tag
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_MARK]
    return f"{tag[: _LONGEST - _MARK - 1]}-{mark}"


def _is_taken(tag: str) -> bool:
    low = tag.lower()  # registries tell letter case, people do not always
    return low == LATEST or low.startswith("branch-") or bool(_REVISION.fullmatch(low))
