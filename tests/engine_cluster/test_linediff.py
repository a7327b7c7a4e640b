"""Diffs of lines: right for any texts, and bounded in work for the worst ones. Counts are asserted, not times."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cluster import linediff
from engine.cluster.linediff import MOST_OF_ONE, SHOWN, Steps, line_diff

LINES = st.lists(st.sampled_from(["a", "b", "c", "- d", ""]), max_size=40)
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def applied(old: Sequence[str], diff: Sequence[str]) -> list[str]:
    """What a diff makes of the old lines, as `patch` does it."""
    made: list[str] = []
    at = 0
    for line in diff:
        if found := HUNK.fullmatch(line):
            first, count = int(found[1]), int(found[2] or 1)
            start = first - 1 if count else first
            made += old[at:start]
            at = start
            continue
        if line[0] in " -":
            assert old[at] == line[1:]
            at += 1
        if line[0] in " +":
            made.append(line[1:])
    return [*made, *old[at:]]


@given(LINES, LINES)
def test_a_diff_makes_the_new_lines_of_the_old_ones(old: list[str], new: list[str]) -> None:
    diff = line_diff(old, new)
    assert applied(old, diff) == new
    assert (diff == []) == (old == new)


@given(st.lists(st.integers(), unique=True, max_size=40), st.sets(st.integers(0, 39)))
def test_it_is_written_as_difflib_writes_it(numbers: list[int], changed: set[int]) -> None:
    old = [str(number) for number in numbers]
    new = [f"{line} changed" if at in changed else line for at, line in enumerate(old)]
    assert line_diff(old, new) == list(difflib.unified_diff(old, new, n=3, lineterm=""))[2:]


def shuffled(lines: int, kinds: int, seed: int) -> list[str]:
    found = [str(number % kinds) for number in range(lines)]
    random.Random(seed).shuffle(found)
    return found


@pytest.mark.parametrize(("lines", "kinds"), [(50_000, 300), (200_000, 400), (300_000, 1000)])
def test_lines_that_repeat_in_another_order_are_not_compared_for_minutes(lines: int, kinds: int) -> None:
    steps = Steps()
    diff = line_diff(shuffled(lines, kinds, 1), shuffled(lines, kinds, 2), steps)
    assert len(diff) <= 2 * SHOWN + 3
    assert "more lines gone; there are too many changes to compare line by line" in "\n".join(diff)
    assert "more lines new; there are too many" in "\n".join(diff)
    assert steps.left >= linediff.MOST_OF_ALL - MOST_OF_ONE


def test_single_lines_between_others_do_not_multiply_the_work() -> None:
    """Each match is one line long, so that the rest is looked through again for each of them."""
    old = [line for n in range(2500) for line in (str(n % 100), f"old {n}")]
    new = [line for n in range(2500) for line in (str(n % 100), f"new {n}")]
    steps = Steps()
    line_diff(old, new, steps)
    assert steps.left >= linediff.MOST_OF_ALL - MOST_OF_ONE


def test_all_texts_of_an_answer_have_their_comparisons_together() -> None:
    steps, old, new = Steps(100_000), shuffled(400, 100, 1), shuffled(400, 100, 2)
    answers = [line_diff(old, new, steps) for _ in range(40)]
    assert steps.left >= 0
    assert [applied(old, one) == new for one in answers[:1]] == [True]
    assert "too many changes" in "\n".join(answers[-1])


def test_one_change_in_a_long_text_needs_few_comparisons() -> None:
    old = [str(number % 50) for number in range(300_000)]
    new = [*old]
    new[150_000] = "changed"
    steps = Steps()
    assert line_diff(old, new, steps)[4:6] == ["-0", "+changed"]
    assert linediff.MOST_OF_ALL - steps.left < 1000
