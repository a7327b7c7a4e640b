"""What is hidden of a text that should be a secrets file and is not: every value, and not the names around it."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redactor import MASK, Redactor
from engine.manifests.rawparts import raw_parts

VALUE = "canary-value-7c1d"
ENCODED = base64.b64encode(VALUE.encode()).decode()
HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop-secrets\n"


@pytest.mark.parametrize(
    "text",
    [
        f"PASSWORD={VALUE}\n",
        f"PASSWORD = {VALUE}",
        f"{VALUE}\n",
        f"- {VALUE}",
        f"{HEAD}stringData: {{PASSWORD: {VALUE}\n",
        f"{HEAD}stringData:\n  PASSWORD: '{VALUE}\n",
        f'{HEAD}stringData:\n  PASSWORD: "{VALUE}"\n  PASSWORD: again\n',
        f"{HEAD}stringData:\n  PASSWORD: |\n    {VALUE}\n  [\n",
        f'{{"kind": "Secret", "data": {{"PASSWORD": "{VALUE}", ',
        f'{{"PASSWORD":"{VALUE}"}}',
        f"{HEAD}data:\n  PASSWORD: {ENCODED}\n bad",
        f"{HEAD}data: {{PASSWORD: '{ENCODED}'",
        f'{{"kind":"Secret","data":{{"A":"b","PASSWORD":"{ENCODED}"',
    ],
)
def test_the_value_is_among_them(text: str) -> None:
    found = [part if isinstance(part, str) else part.decode("utf-8", "replace") for part in raw_parts(text)]
    assert VALUE in found


@pytest.mark.parametrize("word", ["PASSWORD", "shop-secrets", "Secret", "v1", "kind", "data", "metadata"])
def test_what_helps_to_find_the_mistake_is_not(word: str) -> None:
    text = f"{HEAD}type: Opaque\ndata:\n  PASSWORD: {ENCODED}\n  OTHER: |\n   x\n bad"
    assert word not in raw_parts(text)
    assert word.encode() not in raw_parts(text)


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    assert all(raw_parts(text))


@pytest.mark.parametrize("value", ["dmFsdWUtb2YtMTY=", "canaryvalue7c1d/and/more", f"{ENCODED}{ENCODED}"])
def test_a_line_with_a_long_value_is_found_by_that_alone(value: str) -> None:
    """Also where the line is a part of something that is encoded."""
    line = f"PASSWORD: {value}"
    assert line not in raw_parts(f"  {line}\n")
    redactor = Redactor()
    redactor.add(raw_parts(f"  {line}\n"))
    for shown in (
        line,
        base64.b64encode(f"a\n  {line}\nb".encode()).decode(),
        line.encode().hex(),
        quote(line),
    ):
        left = redactor.redact(f"it is {shown} there")
        assert MASK in left
        assert not [part for part in (value, quote(value, safe=""), value.encode().hex()) if part in left]
        inside = base64.b64encode(value.encode()).decode()[4:-6]
        assert inside not in left


@pytest.mark.parametrize("value", ["MTIz", "abc", "c2hvcnQ="])
def test_a_line_with_a_short_value_is_one_of_them(value: str) -> None:
    assert f"PIN: {value}" in raw_parts(f"  PIN: {value}\n")
