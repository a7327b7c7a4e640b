"""Values are registered, or not read; their digests say equal or not, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from core.redactor import MASK, redacting
from core.secret_values import digest, digests_of, register, register_objects

VALUE = "canary-value-03bf"


def test_a_value_is_registered_with_the_redactor_in_force() -> None:
    with redacting() as redactor:
        register([VALUE])
        assert redactor.redact(f"it is {VALUE}") == f"it is {MASK}"


@pytest.mark.parametrize("values", [[VALUE], []])
def test_without_a_redactor_nothing_is_read(values: list[str]) -> None:
    with pytest.raises(RuntimeError, match="where a redactor is in force"):
        register(values)


def test_of_objects_only_the_values_of_secrets() -> None:
    secret = {"kind": "Secret", "data": {"A": base64.b64encode(VALUE.encode()).decode()}}
    other = {"kind": "ConfigMap", "data": {"A": "public-value-1"}}
    with redacting() as redactor:
        register_objects([secret, other])
        assert redactor.redact(f"{VALUE} public-value-1") == f"{MASK} public-value-1"
    with pytest.raises(RuntimeError):
        register_objects([other])


def test_digests_are_keyed(settings: Any) -> None:
    first = digest(VALUE.encode())
    assert first == digest(VALUE.encode()) != digest(b"other")
    assert len(first) == 16
    settings.DIGEST_KEY = "another key"
    assert digest(VALUE.encode()) != first


def test_each_environment_has_digests_of_its_own(settings: Any) -> None:
    """The same value of the same key, in two environments: nobody tells by one what the other has."""
    staging, production = digests_of("shop.staging"), digests_of("shop.production")
    assert staging.here(VALUE.encode()) == digests_of("shop.staging").here(VALUE.encode())
    assert len({form(VALUE.encode()) for form in (staging.here, production.here, staging.anywhere)}) == 3
    assert staging.anywhere(VALUE.encode()) == digest(VALUE.encode())
    before = staging.here(VALUE.encode())
    settings.DIGEST_KEY = "another key for digests, long enough"
    assert digests_of("shop.staging").here(VALUE.encode()) != before
