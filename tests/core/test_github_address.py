"""The check of GITHUB_API_URL at start."""

from __future__ import annotations

from typing import Any

import pytest

from core.checks import github_has_an_address


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("https://api.github.com", True),
        ("https://git.acme.example/api/v3", True),
        ("http://127.0.0.1:8000/api/v3", True),
        ("api.github.com", False),
        ("ftp://api.github.com", False),
        ("https://user:word@api.github.com", False),
        ("https://", False),
    ],
)
def test_only_addresses_of_the_web(settings: Any, address: str, is_good: bool) -> None:
    settings.GITHUB_API_URL = address
    found = github_has_an_address()
    assert [message.id for message in found] == ([] if is_good else ["slipway.E005"])
    assert "word" not in str(found)
