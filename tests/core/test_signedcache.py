"""The cache in the database runs no code of whoever can write to its table."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from core.signedcache import SignedDatabaseCache, signed, verified

pytestmark = pytest.mark.django_db
ran: list[str] = []


class Runs:
    """Runs code where its pickle is read."""

    def __reduce__(self) -> Any:
        return ran.append, ("code",)


@pytest.fixture
def table() -> SignedDatabaseCache:
    ran.clear()
    return SignedDatabaseCache("cache_entries", {})


def write(key: str, stored: bytes) -> None:
    with connection.cursor() as cursor:
        text = base64.b64encode(stored).decode()
        cursor.execute("UPDATE cache_entries SET value = %s WHERE cache_key = %s", [text, key])
        assert cursor.rowcount == 1


def test_the_portal_uses_it(settings: Any) -> None:
    from portal import settings as product

    assert product.CACHES["default"]["BACKEND"] == "core.signedcache.SignedDatabaseCache"


def test_values_come_back(table: SignedDatabaseCache) -> None:
    for value in ("text", 7, [1.5, 2], {"a": (1, None)}, None, b"bytes"):
        table.set("k", value)
        assert table.get("k", "none") == value
    assert table.add("k", 1) is False
    assert table.add("n", 1) is True
    assert table.incr("n") == 2
    assert table.get_many(["n", "gone"]) == {"n": 2}
    assert table.touch("n", 60) is True
    table.set("n", 1, timeout=-1)
    assert table.get("n") is None


def test_a_foreign_pickle_is_not_read(table: SignedDatabaseCache) -> None:
    table.set("k", "ours")
    write(":1:k", pickle.dumps(Runs()))
    assert table.get("k", "none") == "none"
    assert ran == []


def test_a_pickle_with_a_wrong_signature_is_not_read(table: SignedDatabaseCache) -> None:
    table.set("k", "ours")
    write(":1:k", pickle.dumps("0" * 64 + base64.b64encode(pickle.dumps(Runs())).decode()))
    assert table.get("k", "none") == "none"
    assert ran == []


def test_a_value_cannot_be_moved_to_another_entry_or_key(table: SignedDatabaseCache, settings: Any) -> None:
    stored = base64.b64encode(pickle.dumps(signed("a", "value"))).decode()
    assert verified("a", stored) == ("value",)
    assert verified("b", stored) is None
    settings.SECRET_KEY = "another"
    assert verified("a", stored) is None


@pytest.mark.parametrize(
    "stored",
    ["", "no base64!", base64.b64encode(b"junk").decode(), base64.b64encode(pickle.dumps(7)).decode()],
)
def test_junk_is_no_entry(stored: str) -> None:
    assert verified("a", stored) is None


def test_the_default_cache_of_these_tests_works_too() -> None:
    cache.set("x", 1)
    assert cache.get("x") == 1
