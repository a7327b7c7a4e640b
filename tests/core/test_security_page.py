"""The page of threats names, threat by threat, tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")


def rows() -> list[list[str]]:
    """The cells of every row of the page's tables, without heads."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in ("threat", "---") and not row[0].startswith("---")]


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests of a file: functions, classes, and methods as `Class::method`."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (ast.FunctionDef, ast.AsyncFunctionDef)
            found |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, methods)}
    return frozenset(found)


def test_the_page_is_read() -> None:
    assert len(rows()) > 40


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_each_threat_has_a_promise_and_tests_that_are_there(row: list[str]) -> None:
    assert len(row) == 3
    threat, promise, shown = row
    assert threat
    assert promise
    named = NAMED.findall(shown)
    assert named, "no test is named"
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert name, f"{path} names no test of it"
        assert name.removeprefix("::") in names_in(path), f"{path}{name}"
        assert re.search(r"(?:^|::)[Tt]est", name.removeprefix("::")), f"{name} is no test"
