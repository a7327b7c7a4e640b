"""Unified diffs as rows: numbers of both sides, signs, hidden values."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from tests.ui import samples
from ui import difflines

TEXTS = st.lists(
    st.sampled_from(["a: 1", "b: 2", "--- c", "+++ d", "- item", "@@ odd", "", "  deep: x"]), max_size=30
)


@given(TEXTS, TEXTS)
def test_rows_number_the_lines_of_both_sides(old: list[str], new: list[str]) -> None:
    rows = difflines.rows(difflib.unified_diff(old, new, "live", "new", lineterm=""))
    for row in rows:
        if row.old is not None:
            assert old[row.old - 1] == row.text
        if row.new is not None:
            assert new[row.new - 1] == row.text
    added = sum(row.kind == "add" for row in rows)
    gone = sum(row.kind == "gone" for row in rows)
    assert added - gone == len(new) - len(old)


def test_values_of_secrets_are_marked_as_hidden() -> None:
    hidden = [row for row in difflines.rows(samples.DIFF) if row.masked]
    assert [(row.kind, row.text, row.masked) for row in hidden] == [
        ("gone", "  REDIS_URL: ", "01234567"),
        ("add", "  REDIS_URL: ", "fedcba98"),
    ]


def test_left_out_lines_are_said() -> None:
    cut = [row.text for row in difflines.rows(samples.DIFF) if row.kind == "cut-off"]
    assert cut == ["spec.template.spec.containers[worker]", "data"]


def test_counts() -> None:
    assert difflines.counts(samples.DIFF) == (2, 2)
    assert difflines.counts([]) == (0, 0)
