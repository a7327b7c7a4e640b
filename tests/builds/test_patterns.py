"""Patterns of branches and paths: `*` is any text, everything else itself, and no pattern takes long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builds.patterns import LONGEST, MOST, fits, path_fits, problem_of, wanted_path

SHORT = st.text(alphabet="ab/*.", max_size=12)


def reference(pattern: str, text: str) -> bool:
    """The same by a regular expression."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


@given(SHORT, st.text(alphabet="ab/.", max_size=14))
def test_a_pattern_fits_what_the_regular_expression_fits(pattern: str, text: str) -> None:
    assert fits(pattern, text) == reference(pattern, text)


@given(st.text(max_size=30))
def test_a_text_fits_itself_and_a_star_fits_all(text: str) -> None:
    assert fits("*", text)
    assert fits(f"{text}*", text)
    if "*" not in text:
        assert fits(text, text)


@given(SHORT, st.text(alphabet="ab/.", max_size=14))
def test_a_pattern_that_fits_a_path_fits_all_below_it(pattern: str, path: str) -> None:
    if fits(pattern.removeprefix("./").strip("/"), path):
        assert path_fits(pattern, path)
        assert path_fits(pattern, f"{path}/below")


@pytest.mark.parametrize(
    ("pattern", "path", "wanted"),
    [
        ("docs", "docs/a/b.md", True), ("docs/", "docs/a.md", True), ("./docs", "docs/a.md", True),
        ("docs/*", "docs/a/b.md", True), ("docs", "docs2/a.md", False), ("*.md", "a/b/README.md", True),
        ("src/*.py", "src/a/b.py", True), ("src", "src", True), ("/src", "src/x", True), ("Dockerfile", "x/Dockerfile", False),
        ("*/Dockerfile", "x/Dockerfile", True),
    ],
)  # fmt: skip
def test_paths(pattern: str, path: str, wanted: bool) -> None:
    assert path_fits(pattern, path) is wanted


def test_watched_and_ignored_paths() -> None:
    assert wanted_path("src/a.py", [], [])
    assert wanted_path("src/a.py", ["src"], ["docs"])
    assert not wanted_path("src/README.md", ["src"], ["*.md"])
    assert not wanted_path("other/a.py", ["src"], [])


def test_a_hostile_pattern_takes_no_time() -> None:
    began = time.process_time()
    assert not fits("*a" * 100 + "b", "a" * 20_000)
    assert time.process_time() - began < 10  # a bad one takes for ever


def test_what_is_no_list_of_patterns() -> None:
    assert problem_of(["main", "release/*"]) == ""
    assert problem_of(["x"] * (MOST + 1))
    assert problem_of(["x" * (LONGEST + 1)])
    assert problem_of(["a\x1b[0m"])
    assert problem_of(["!main"])
