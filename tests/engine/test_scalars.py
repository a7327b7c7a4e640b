"""Scalars mean what they mean to kubectl: a recorded table always, the real kubectl where it is there."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from engine.errors import ManifestError
from engine.manifests.scalars import INT64, json_value, key_text, resolve_plain
from tests.engine.scalar_table import REFUSED, SCALARS
from tests.engine.support import KUBECTL, value_of

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  v: "
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["create"]}],
    },
}


def same(ours: Any, theirs: Any) -> bool:
    """Equal values of equal JSON types; integers beyond 64 bits are floats that Go prints without an exponent."""
    if type(theirs) is int and theirs not in INT64:
        return isinstance(ours, float) and ours == float(theirs)
    return type(ours) is type(theirs) and ours == theirs


@pytest.mark.parametrize(("scalar", "expected"), SCALARS, ids=[scalar for scalar, _ in SCALARS])
def test_scalar_as_kubectl_reads_it(scalar: str, expected: Any) -> None:
    if expected is REFUSED:
        with pytest.raises(ManifestError, match=r"^web\.yaml:\d+: "):
            value_of(scalar)
    else:
        assert same(value_of(scalar), expected)


@pytest.mark.control_plane
@pytest.mark.skipif(not KUBECTL.exists(), reason="needs kubectl: set KUBEBUILDER_ASSETS")
def test_recorded_table_is_what_kubectl_says(httpserver: HTTPServer, tmp_path: Path) -> None:
    for path, answer in DISCOVERY.items():
        httpserver.expect_request(path).respond_with_json(answer)
    accepted = [(scalar, value) for scalar, value in SCALARS if value is not REFUSED]
    text = "\n---\n".join(HEAD + scalar for scalar, _ in accepted)
    answer = client_dry_run(text, httpserver.url_for(""), tmp_path)
    assert answer.returncode == 0, answer.stderr
    for (scalar, expected), body in zip(accepted, json_values(answer.stdout), strict=True):
        assert same_json(body["data"]["v"], expected), scalar
    for scalar in (scalar for scalar, value in SCALARS if value is REFUSED):
        assert client_dry_run(HEAD + scalar, httpserver.url_for(""), tmp_path).returncode != 0, scalar


def client_dry_run(text: str, server: str, home: Path) -> subprocess.CompletedProcess[str]:
    """kubectl's own client-side dry run; it asks a server only which kinds there are."""
    command: list[str | Path] = [
        KUBECTL,
        "create",
        "--dry-run=client",
        "--validate=false",
        "-o",
        "json",
        "-f",
        "-",
        "--server",
        server,
    ]
    environment = {"HOME": str(home), "KUBECONFIG": "/dev/null"}
    return subprocess.run(
        command, input=text, capture_output=True, text=True, env=environment, check=False, timeout=60
    )


def json_values(text: str) -> list[Any]:
    values, position = [], 0
    while text[position:].strip():
        start = position + len(text[position:]) - len(text[position:].lstrip())
        value, position = json.JSONDecoder().raw_decode(text, start)
        values.append(value)
    return values


def same_json(printed: Any, recorded: Any) -> bool:
    return type(printed) is type(recorded) and printed == recorded


@pytest.mark.parametrize(
    ("scalar", "problem"),
    [
        ("!!binary gIA=", "not base64 of UTF-8"),  # kubectl: replacement characters, silently
        ("{1: a, '1': b}", "stands twice"),  # kubectl: the last one wins, silently
        ("{a: 1, a: 2}", "stands twice"),
        (".inf", "do not exist in JSON"),
        ("{1e40: a}", "a key must be a string"),  # kubectl: the key ".inf"
    ],
)
def test_stricter_than_kubectl_where_it_loses_something(scalar: str, problem: str) -> None:
    with pytest.raises(ManifestError, match=problem) as caught:
        value_of(scalar)
    assert caught.value.problems[0].startswith("web.yaml:6: ")


def test_revisions_of_digits_need_quotes_as_for_kubectl() -> None:
    assert value_of("1234567") == 1234567
    assert value_of("'1234567'") == "1234567"
    assert value_of("12345e1") == 123450
    assert value_of('"12345e1"') == "12345e1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1" * 5000, "1" * 5000),
        ("-" + "9" * 5000, "-" + "9" * 5000),
        ("0b" + "0" * 5000 + "1", 1),
        ("0" * 5000 + "7", 7),
    ],
)
def test_very_long_numbers(text: str, value: Any) -> None:
    assert value_of(text) == value


@given(st.integers())
def test_decimal_integers_keep_their_value(number: int) -> None:
    value = json_value(resolve_plain(str(number)))
    assert value == (number if -(2**63) <= number < 2**63 else float(number))
    assert type(value) is (int if -(2**63) <= number < 2**63 else float)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value(number: float) -> None:
    value = json_value(resolve_plain(repr(number)))
    assert isinstance(value, int | float)
    assert float(value) == number
    assert not isinstance(value, float) or not value.is_integer() or abs(value) >= 2**63


@given(st.text())
def test_any_text_resolves_to_a_scalar_and_words_stay_text(text: str) -> None:
    value = resolve_plain(text)
    assert value is None or isinstance(value, str | bool | int | float)
    if text[:1].isalpha() and text[:1] not in "yYnNtTfFoO":
        assert value == text
    if isinstance(value, str):
        assert value == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=2.0**127, min_value=-(2.0**127)))
def test_float_keys_name_the_same_number(number: float) -> None:
    text = key_text(number)
    assert text is not None
    assert struct.pack("f", float(text)) == struct.pack("f", number)
