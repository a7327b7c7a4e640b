"""The tests that docs/reliability.md names exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"`(tests/[\w/.]+?)(?:::(\w+))?`")
PAGES = ("reliability",)  # docs/security.md: test_security_page.py


def named(page: str) -> list[tuple[str, str]]:
    """Pairs of path and function; the function may be empty."""
    return NAME.findall((ROOT / "docs" / f"{page}.md").read_text())


@cache
def functions(path: Path) -> frozenset[str]:
    """All functions of a module."""
    found = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("page", PAGES)
def test_they_exist(page: str) -> None:
    pairs = named(page)
    assert len(pairs) > 20
    missing = [
        f"{path}::{function}"
        for path, function in pairs
        if not (ROOT / path).exists() or (function and function not in functions(ROOT / path))
    ]
    assert missing == []


def test_each_fault_that_came_up_names_a_test() -> None:
    """Not only a file."""
    text = (
        (ROOT / "docs" / "reliability.md")
        .read_text()
        .partition("## Faults that came up")[2]
        .partition("\n## ")[0]
    )
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 25
    assert [row for row in rows if not any(function for _, function in NAME.findall(row))] == []
