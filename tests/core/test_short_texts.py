"""A redactor that makes forms only of values that a short text may hold redacts as one that has made all of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.matcher import SHORTEST_CUT
from core.redactor import MASK, MOST_GLANCES, Redactor
from core.secret_forms import forms_of
from core.short_texts import clues, readings

ALPHABET = "abcXYZ019_.~+/-"
TOKENS = st.builds(
    lambda text, end: text + end,
    st.text(st.sampled_from(ALPHABET), min_size=4, max_size=200),
    st.sampled_from(["", "", "=", "=="]),
)
PAIRS = st.builds(
    lambda name, token: f"{name}: {token}", st.sampled_from(["KEY", "password", "a.b-c"]), TOKENS
)
VALUES = st.one_of(TOKENS, PAIRS, st.text(max_size=60), TOKENS.map(lambda token: f"{token}\n"))
AROUND = st.text(st.sampled_from("aXz09 =%+/-_\n\"':"), max_size=12)

SPELLINGS: list[Callable[[bytes], str]] = [
    bytes.hex,
    lambda raw: raw.hex().upper(),
    lambda raw: base64.b64encode(raw).decode(),
    lambda raw: base64.b64encode(b"x" + raw + b"yz").decode(),
    lambda raw: base64.b64encode(b"xy" + raw + b"z").decode(),
    lambda raw: base64.urlsafe_b64encode(raw).decode(),
    lambda raw: base64.encodebytes(raw).decode(),
    lambda raw: quote(raw, safe=""),
    quote_plus,
    lambda raw: raw.decode(errors="replace"),
]


def eager(values: list[str]) -> Redactor:
    redactor = Redactor()
    redactor.add(values)
    redactor.redact("x" * SHORTEST_CUT)
    return redactor


def lazy(values: list[str]) -> Redactor:
    redactor = Redactor()
    redactor.add(values)
    return redactor


@given(
    values=st.lists(VALUES, min_size=1, max_size=4),
    spelling=st.sampled_from(SPELLINGS),
    around=st.tuples(AROUND, AROUND),
    cut=st.tuples(st.integers(0, 120), st.integers(4, 180)),
)
def test_both_redact_alike(
    values: list[str],
    spelling: Callable[[bytes], str],
    around: tuple[str, str],
    cut: tuple[int, int],
) -> None:
    """Also where the text holds only a part of the spelling, or the last line of wrapped Base64."""
    written = spelling(values[0].encode(errors="replace"))
    for part in (written[cut[0] :][: cut[1]], written[-cut[1] :], written):
        text = f"{around[0]}{part}{around[1]}"[: SHORTEST_CUT - 1]
        assert lazy(values).redact(text) == eager(values).redact(text)


@given(value=st.one_of(TOKENS, PAIRS), around=st.tuples(AROUND, AROUND))
def test_every_form_leaves_a_clue(value: str, around: tuple[str, str]) -> None:
    """Each form of a judged value, and each window of a long one, shows one of its clues."""
    found = clues(value)
    for form in forms_of(value) if found is not None else ():
        for at in range(0, max(1, len(form) - 63)):
            window = form[at : at + 64]
            told = readings(f"{around[0]}{window}{around[1]}")
            assert len(window) < 4 or any(clue in told for clue in found or ())


def test_a_short_text_makes_no_forms_of_values_that_it_cannot_hold() -> None:
    redactor = lazy([f"value-of-the-key-number-{n:03}" for n in range(500)])
    assert redactor.redact("rotated the password of the database") == "rotated the password of the database"
    assert redactor._matcher.count == 0


def test_values_are_found_in_the_texts_after_a_glance() -> None:
    redactor = lazy(["hunter2-hunter2", "another-value-99"])
    assert redactor.redact("nothing of it") == "nothing of it"
    assert redactor.redact("it is hunter2-hunter2") == f"it is {MASK}"
    assert redactor.redact("and another-value-99 " + "x" * SHORTEST_CUT).startswith(f"and {MASK}")


@pytest.mark.parametrize("texts", [1, MOST_GLANCES + 1])
def test_many_short_texts_make_the_forms_at_last(texts: int) -> None:
    redactor = lazy(["hunter2-hunter2"])
    for _ in range(texts):
        redactor.redact("nothing of it")
    assert (redactor._matcher.count > 0) == (texts > MOST_GLANCES)
    assert redactor.redact("hunter2-hunter2") == MASK
