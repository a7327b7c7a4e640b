"""The audit of dependencies: a known hole fails, a missing index is said plainly and passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from tests import advisories


def test_pins_are_read() -> None:
    text = "--only-binary :all:\nDjango==5.2.19\nuvicorn[standard]==0.54.0  # why\n-r other.txt\n# x==1\n"
    assert advisories.pins(iter([text, text])) == [("Django", "5.2.19"), ("uvicorn", "0.54.0")]


def test_every_requirement_is_pinned() -> None:
    assert len(advisories.pins(advisories.ROOT.joinpath(file).read_text() for file in advisories.FILES)) > 15


@pytest.mark.parametrize(
    ("holes", "code", "said"),
    [
        ([], 0, "no known holes"),
        ([{"id": "X-1", "fixed_in": ["1.1"]}], 1, "a 1.0: X-1, mended in 1.1"),
        ([{"id": "X-1", "withdrawn": "2026-01-01"}], 0, "no known holes"),
    ],
)
def test_known_holes_fail(
    holes: list[Any],
    code: int,
    said: str,
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    httpserver.expect_request("/a/1.0/json").respond_with_data(json.dumps({"vulnerabilities": holes}))
    ask = advisories.advisories
    monkeypatch.setattr(advisories, "pins", lambda texts: [("a", "1.0")])
    monkeypatch.setattr(
        advisories,
        "advisories",
        lambda name, version: ask(name, version, index=httpserver.url_for("").rstrip("/")),
    )
    assert advisories.main() == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("status", [0, 403, 502])
def test_without_an_index_it_says_so_and_passes(
    status: int, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    httpserver.expect_request("/a/1.0/json").respond_with_data("no", status=status or 200)
    ask = advisories.advisories
    index = httpserver.url_for("").rstrip("/") if status else "http://127.0.0.1:1"
    monkeypatch.setattr(advisories, "pins", lambda texts: [("a", "1.0")])
    monkeypatch.setattr(advisories, "advisories", lambda name, version: ask(name, version, index=index))
    assert advisories.main() == 0
    assert "NOT audited" in capsys.readouterr().out
