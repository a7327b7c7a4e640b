"""Rows of a diff made short: a changed image takes one line, digests are cut, the portal's own marks are folded. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.manifests.digests import CONFIG_ANNOTATION, SECRETS_ANNOTATION
from engine.types import ADDED_ANNOTATION, ENVIRONMENT_LABEL, FENCE_ANNOTATION, OBJECT_ANNOTATION
from ui.difflines import DiffLine

_NAMES = (
    ENVIRONMENT_LABEL,
    OBJECT_ANNOTATION,
    FENCE_ANNOTATION,
    ADDED_ANNOTATION,
    SECRETS_ANNOTATION,
    CONFIG_ANNOTATION,
)
_MARK = re.compile(rf"\s+(?:{'|'.join(map(re.escape, _NAMES))}): ")
_HOLDER = re.compile(r"(\s*)(?:labels|annotations):\s*$")
_IMAGE = re.compile(r"""(?P<start>\s*(?:- )?image: )['"]?(?P<image>[^\s'"#]+)['"]?$""")
_DIGEST = re.compile(r"@sha256:([0-9a-f]{7})[0-9a-f]{57}\b")


@dataclass(frozen=True)
class Fold:
    """Rows that only the portal's own marks are in; unfolded they are shown as they are."""

    rows: tuple[DiffLine, ...]
    kind: str = "fold"

    @property
    def text(self) -> str:
        """`3 lines of the portal’s own marks`."""
        count = len(self.rows)
        return f"{count} line{'' if count == 1 else 's'} of the portal’s own marks"


def folded(rows: Sequence[DiffLine]) -> list[DiffLine | Fold]:
    """The rows as a page shows them."""
    found: list[DiffLine | Fold] = []
    marks: list[DiffLine] = []
    for row, is_mark in zip(rows, _marks(rows), strict=True):
        if is_mark:
            marks.append(row)
            continue
        found, marks = [*found, *_fold(marks)], []
        found.append(row)
    return _images([*found, *_fold(marks)])


def _fold(marks: list[DiffLine]) -> list[Fold]:
    return [Fold(tuple(marks))] if marks else []


def _marks(rows: Sequence[DiffLine]) -> list[bool]:
    """For each row whether it is a changed mark, or a changed `labels:` or `annotations:` that holds nothing but marks."""
    marks = [row.kind in ("add", "gone") and bool(_MARK.match(row.text)) for row in rows]
    for at, row in enumerate(rows):
        if row.kind in ("add", "gone") and (holder := _HOLDER.match(row.text)):
            held = _held(rows, at, len(holder[1]))
            marks[at] = bool(held) and all(marks[one] for one in held)
    return marks


def _held(rows: Sequence[DiffLine], at: int, indent: int) -> list[int]:
    """The rows below `at` that lie deeper."""
    held = []
    for place in range(at + 1, len(rows)):
        row = rows[place]
        if row.kind == "cut-off" or len(row.text) - len(row.text.lstrip()) <= indent:
            break
        held.append(place)
    return held


def _images(rows: Sequence[DiffLine | Fold]) -> list[DiffLine | Fold]:
    """With each pair of an image's old and new line as one, and digests cut."""
    found: list[DiffLine | Fold] = []
    for row in rows:
        if not _joined(found, row):
            found.append(row)
    return [row if isinstance(row, Fold) else replace(row, text=_short(row.text)) for row in found]


def _joined(found: list[DiffLine | Fold], row: DiffLine | Fold) -> bool:
    """Puts a new image's line into the place of the old one's, in the same block of changes. Whether there was one."""
    if not isinstance(row, DiffLine) or row.kind != "add":
        return False
    for at in range(len(found) - 1, -1, -1):
        before = found[at]
        if not isinstance(before, DiffLine) or before.kind not in ("gone", "add", "changed"):
            return False
        if pair := _pair(before, row):
            found[at] = pair
            return True
    return False


def _pair(gone: DiffLine, add: DiffLine) -> DiffLine | None:
    if (gone.kind, add.kind) != ("gone", "add"):
        return None
    old, new = _IMAGE.match(gone.text), _IMAGE.match(add.text)
    if old is None or new is None or old["start"] != new["start"]:
        return None
    return DiffLine("changed", gone.old, add.new, "±", f"{new['start']}{_change(old['image'], new['image'])}")


def _change(old: str, new: str) -> str:
    """`…/web:f5af1ad → e8613d3`: what both have in front stands once."""
    repository, _, tag = _short(old).rpartition("/")[2].partition(":")
    _, _, new_tag = _short(new).rpartition("/")[2].partition(":")
    same = _repository(old) == _repository(new) and tag and new_tag
    plain, new_plain = tag.partition("@")[0], new_tag.partition("@")[0]
    if same and plain != new_plain and plain and new_plain:
        tag, new_tag = plain, new_plain
    host = "…/" if "/" in old else ""
    return f"{host}{repository}:{tag} → {new_tag}" if same else f"{_short(old)} → {_short(new)}"


def _repository(image: str) -> str:
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _short(text: str) -> str:
    return _DIGEST.sub(r"@\1…", text)
