"""Numbers, times and names as pages write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui import words

NOW = datetime(2026, 7, 14, 9, 44, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"), (0, "<1 s"), (0.4, "<1 s"), (-3, "<1 s"), (9.9, "9 s"), (60, "1 min"), (72, "1 min 12 s"),
        (3600, "1 h"), (3605, "1 h"), (7500, "2 h 5 min"), (86_400, "1 d"), (100_000, "1 d 3 h"),
    ],
)  # fmt: skip
def test_duration_in_the_two_greatest_units(seconds: float | None, expected: str) -> None:
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (timedelta(seconds=4), "just now"), (timedelta(seconds=-4), "just now"), (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=3, seconds=50), "3 min ago"), (timedelta(hours=23), "23 h ago"), (timedelta(days=41), "41 d ago"),
        (timedelta(hours=-5), "in 5 h"),
    ],
)  # fmt: skip
def test_ago(before: timedelta, expected: str) -> None:
    assert words.ago(NOW - before, NOW) == expected


def test_absolute_is_in_utc() -> None:
    assert words.absolute(datetime.fromisoformat("2026-07-14T10:13:20+01:00")) == "14 Jul 2026, 09:13:20 UTC"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mira", "MI"), ("mira kask", "MK"), ("Ann-Lee van Dam", "AD"), ("x", "X"), ("", "?")],
)
def test_initials(name: str, expected: str) -> None:
    assert words.initials(name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker-6f8b9c7d55-pz4mn", ("worker-6f8b9c7d55-", "pz4mn")),
        ("Deployment/web", ("Deployment/web", "")),
        ("sha256:" + "a" * 64, ("sha256:" + "a" * 56, "a" * 8)),
    ],
)
def test_a_long_id_is_split_before_its_last_part(text: str, expected: tuple[str, str]) -> None:
    assert words.split_id(text) == expected


@given(st.text(max_size=100))
def test_splitting_loses_nothing(text: str) -> None:
    assert "".join(words.split_id(text)) == text
