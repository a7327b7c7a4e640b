"""Addresses of one repository are equal, those of different ones are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builds.addresses import key_of, keys_of

SAME = (
    "https://github.com/acme/shop",
    "https://github.com/acme/shop.git",
    "https://GitHub.com/Acme/Shop.git",
    "https://github.com:443/acme/shop/",
    "https://www.github.com/acme/shop",
    "http://github.com/acme/shop.git",
    "ssh://git@github.com/acme/shop.git",
    "ssh://git@github.com:22/acme/shop",
    "ssh://git@ssh.github.com:443/acme/shop.git",
    "git@github.com:acme/shop.git",
    "git@github.com:/acme/shop",
    "git://github.com/acme/shop.git",
)


def test_every_way_to_write_a_repository_is_the_same() -> None:
    assert {key_of(address) for address in SAME} == {"github.com/acme/shop"}


@pytest.mark.parametrize(
    "other",
    [
        "https://github.com/acme/shop2", "https://github.com/acme", "https://github.com/acme/shop/wiki",
        "https://evil.example/github.com/acme/shop", "https://github.com.evil.example/acme/shop",
        "https://github.com:8443/acme/shop", "git@gitlab.com:acme/shop.git", "https://github.com/acme/shop.git.git",
    ],
)  # fmt: skip
def test_other_repositories_are_others(other: str) -> None:
    assert key_of(other) not in {"", "github.com/acme/shop"}


@pytest.mark.parametrize(
    "text", ["", "shop", "/srv/shop.git", "https://", "https://host", "https://[bad/x", "http://h:99999/x", "x" * 2000]
)  # fmt: skip
def test_what_is_no_address_is_equal_to_nothing(text: str) -> None:
    assert key_of(text) == ""
    assert keys_of([text]) == frozenset()


@given(st.text(max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    assert key_of(text) == key_of(text)
    assert not key_of(text).endswith("/")
