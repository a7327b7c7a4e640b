"""Environment variables: what cannot be meant stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import env


@pytest.mark.parametrize("text", ["1", "true", "TRUE", " yes ", "on"])
def test_yes(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLIPWAY_X", text)
    assert env.boolean("SLIPWAY_X") is True


@pytest.mark.parametrize("text", ["0", "false", "No", "off", ""])
def test_no(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLIPWAY_X", text)
    assert env.boolean("SLIPWAY_X", default=True) is False


@pytest.mark.parametrize("text", ["ja", "2", "enabled", "tru"])
def test_neither_yes_nor_no_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLIPWAY_X", text)
    with pytest.raises(ImproperlyConfigured, match="SLIPWAY_X"):
        env.boolean("SLIPWAY_X")


def test_what_is_not_set_is_the_default() -> None:
    assert env.boolean("SLIPWAY_X", default=True) is True
    assert env.integer("SLIPWAY_X", 7) == 7
    assert env.text("SLIPWAY_X", "d") == "d"
    assert env.words("SLIPWAY_X", "a, b") == ["a", "b"]


def test_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_X", "-12")
    assert env.integer("SLIPWAY_X", 7) == -12
    monkeypatch.setenv("SLIPWAY_X", "")
    assert env.integer("SLIPWAY_X", 7) == 7


@pytest.mark.parametrize("text", ["1.5", "twelve", "1e3", "0x10"])
def test_what_is_no_whole_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLIPWAY_X", text)
    with pytest.raises(ImproperlyConfigured, match="whole number"):
        env.integer("SLIPWAY_X", 7)


def test_a_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    monkeypatch.setenv("SLIPWAY_X_FILE", str(tmp_path / "key"))
    assert env.text("SLIPWAY_X") == "from the file"
    monkeypatch.setenv("SLIPWAY_X", "set directly")
    assert env.text("SLIPWAY_X") == "set directly"


def test_a_file_that_is_not_there_is_said_and_not_taken_for_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_X_FILE", "/nowhere/key")
    with pytest.raises(ImproperlyConfigured, match="/nowhere/key"):
        env.text("SLIPWAY_X")


def test_empty_parts_of_a_list_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_X", ",a,, b ,")
    assert env.words("SLIPWAY_X") == ["a", "b"]
