"""Rules every template keeps: it compiles, says its contract, and holds nothing the content policy refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

from ui import icons

ROOT = Path(__file__).resolve().parents[2] / "templates"
ALL = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.html"))
OWN = [name for name in ALL if not name.startswith("allauth/")]  # allauth's own contracts hold there
STYLES = sorted((ROOT.parent / "static" / "css").glob("*.css"))


REFUSED = (
    r"\sstyle=",
    r"<style",
    r"\son\w+=",
    r"<script(?![^>]*\ssrc=)",
    r"javascript:",
    r"hx-on",
    r"https?://[^ \"]+\.(js|css)",
)


def text(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", ALL)
def test_it_compiles_and_its_icons_exist(name: str) -> None:
    get_template(name)
    for icon in re.findall(r"{% icon \"([^\"]+)\"|\bicon=\"([^\"]+)\"", text(name)):
        assert icons.shapes("".join(icon))


@pytest.mark.parametrize("name", OWN)
def test_it_says_what_it_needs(name: str) -> None:
    assert "{% comment %}" in text(name)[:300]


@pytest.mark.parametrize("name", ALL)
def test_it_holds_nothing_that_the_content_policy_refuses(name: str) -> None:
    found = [rule for rule in REFUSED if re.search(rule, text(name))]
    assert found == []


@pytest.mark.parametrize("sheet", STYLES, ids=lambda path: path.name)
def test_colours_are_named_once(sheet: Path) -> None:
    """A colour written outside tokens.css would not follow the theme. White paper behind a QR code is meant."""
    colours = re.findall(r"#[0-9a-f]{3,8}\b|rgba?\([^)]*\)", sheet.read_text())
    assert sheet.name == "tokens.css" or set(colours) <= {"#fff", "rgb(6 14 18 / 35%)"}


@pytest.mark.parametrize("sheet", STYLES, ids=lambda path: path.name)
def test_every_token_used_is_defined(sheet: Path) -> None:
    defined = set(re.findall(r"(--[\w-]+):", "".join(path.read_text() for path in STYLES)))
    used = set(re.findall(r"var\((--[\w-]+)", sheet.read_text()))
    assert used <= defined


def test_our_script_stays_small() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT.parent / "static" / "js").glob("*.js"))
    assert lines <= 700
