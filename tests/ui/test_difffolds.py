"""Rows of a diff as a page shows them: an image on one line, the portal's own marks folded."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.difffolds import Fold, folded
from ui.difflines import DiffLine, rows


def shown(before: str, after: str) -> list[str]:
    """The changed rows, each with its sign."""
    diff = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm=""))
    return [
        row.text if isinstance(row, Fold) else f"{row.sign}{row.text}"
        for row in folded(rows(diff))
        if row.kind != "same"
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("r.example/x/web:1@sha256:" + "a" * 64, "r.example/x/web:2@sha256:" + "b" * 64, "…/web:1 → 2"),
        ("r.example/x/web:1@sha256:" + "a" * 64, "r.example/x/web:1@sha256:" + "b" * 64, "…/web:1@aaaaaaa… → 1@bbbbbbb…"),
        ("web:1", "web:2", "web:1 → 2"),
        ("r.example:5000/web:1", "r.example:5000/other:1", "r.example:5000/web:1 → r.example:5000/other:1"),
        ("nginx", "nginx:1", "nginx → nginx:1"),
    ],
)  # fmt: skip
def test_an_image_takes_one_line(old: str, new: str, line: str) -> None:
    assert shown(f"  - image: {old}", f"  - image: {new}") == [f"±  - image: {line}"]


def test_a_digest_elsewhere_is_cut() -> None:
    assert shown("", f"args: web@sha256:{'c' * 64}") == ["+args: web@ccccccc…"]


MARKED = """metadata:
  labels:
    app: web
    slipway.dev/environment: shop.staging
  annotations:
    slipway.dev/object: Deployment.apps/shop/web
spec: {}
"""


def test_marks_are_folded_with_the_line_that_holds_nothing_else() -> None:
    plain = "metadata:\n  labels:\n    app: web\nspec: {}\n"
    assert shown(plain, MARKED) == ["3 lines of the portal’s own marks"]
    assert shown(MARKED, plain) == ["3 lines of the portal’s own marks"]


def test_what_people_wrote_beside_them_is_not() -> None:
    after = MARKED.replace("  annotations:\n", "  annotations:\n    team: shop\n")
    assert shown("metadata:\n  labels:\n    app: web\nspec: {}\n", after) == [
        "1 line of the portal’s own marks", "+  annotations:", "+    team: shop", "1 line of the portal’s own marks",
    ]  # fmt: skip
    theirs = shown("a:\n  slipway.dev/phase: x", "a:\n  slipway.dev/phase: y")
    assert theirs == ["−  slipway.dev/phase: x", "+  slipway.dev/phase: y"]


LINES = st.lists(
    st.sampled_from(
        [
            "  labels:",
            "    slipway.dev/environment: a",
            "    b: c",
            "  image: a/b:1",
            "  image: a/b:2",
            "x: 1",
        ]
    ),
    max_size=15,
)


@given(LINES, LINES)
def test_no_line_is_lost(old: list[str], new: list[str]) -> None:
    plain = rows(difflib.unified_diff(old, new, lineterm=""))
    found = folded(plain)
    flat = [line for row in found for line in (row.rows if isinstance(row, Fold) else (row,))]
    both = sum(row.kind == "changed" for row in flat)
    assert len(flat) + both == len(plain)
    kept = [row for row in flat if row.kind != "changed"]
    assert all(row in plain for row in kept)
    assert all(isinstance(row, DiffLine) for row in flat)
