"""Nothing that was registered is left in a text, in whichever form it stands there."""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import redactor as module
from core.redactor import MASK, Redactor, current, redact_nested, redact_text, redacting, redactor_in_force

# Without the dots of the mask itself; values with nothing but blanks around less than six characters are tested apart.
ANY = st.characters(exclude_categories=("Cs",), exclude_characters="•")
VALUES = st.text(ANY, min_size=6).filter(lambda value: len(value.strip()) >= 6)
AROUND = st.text(st.sampled_from("xyz0 =\n\"'/"), max_size=8)

FORMS = {
    "plain": lambda value: value.strip(),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 of what a shell read": lambda value: base64.b64encode(value.encode().strip()).decode(),
    "in an address": lambda value: quote(value, safe=""),
    "in a form": quote_plus,
    "in JSON": lambda value: json.dumps(value.strip()),
    "in JSON as it is": lambda value: json.dumps(value.strip(), ensure_ascii=False),
    "as Python shows it": lambda value: repr(value.strip()),
}


@pytest.mark.parametrize("form", FORMS)
@given(value=VALUES, before=AROUND, after=AROUND)
def test_no_form_of_a_registered_value_survives(form: str, value: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add([value])
    shown = FORMS[form](value)
    left = redactor.redact(f"{before}{shown}{after}")
    assert MASK in left
    inner = shown.strip("=\"'")
    assert len(inner) < 6 or inner not in left  # a value of quotes leaves too little to look for
    assert value.strip() not in left


@given(value=st.binary(min_size=6), before=AROUND)
def test_bytes_that_are_no_text_are_known_in_base64(value: bytes, before: str) -> None:
    redactor = Redactor()
    redactor.add([value])
    assert base64.b64encode(value).decode().rstrip("=") not in redactor.redact(
        before + base64.b64encode(value).decode()
    )


@given(values=st.lists(VALUES, max_size=5), text=st.text(st.sampled_from("abc "), max_size=40))
def test_a_text_without_values_stays_as_it_is(values: list[str], text: str) -> None:
    redactor = Redactor()
    redactor.add(values)
    if not any(form in text for form in redactor._forms):
        assert redactor.redact(text) == text


def test_a_value_that_holds_another_one_goes_whole() -> None:
    redactor = Redactor()
    redactor.add(["secret", "secret-and-more"])
    assert redactor.redact("it is secret-and-more") == f"it is {MASK}"


def test_each_line_of_a_key_is_known() -> None:
    redactor = Redactor()
    redactor.add(["-----BEGIN-----\nMIIEowIBAAKCAQEA\n-----END-----"])
    assert "MIIEowIBAAKCAQEA" not in redactor.redact("read MIIEowIBAAKCAQEA of it")


def test_short_values_are_replaced_where_they_stand_alone() -> None:
    redactor = Redactor()
    redactor.add(["1", "yes", "4711", "blue5"])
    assert redactor.redact("1 yes 4711, 47110 blue5 blue55") == f"1 yes {MASK}, 47110 {MASK} blue55"


def test_half_a_surrogate_pair_is_no_reason_to_fail() -> None:
    redactor = Redactor()
    redactor.add(["secret-\ud800-value"])
    assert redactor.redact("a secret-\ud800-value") == f"a {MASK}"


def test_values_are_forgotten_with_the_run() -> None:
    with redacting() as redactor:
        redactor.add(["hunter2222"])
        assert redact_text("hunter2222") == MASK
        assert redact_nested({"a": ["hunter2222", 1, None], "b": {"c": "hunter2222"}}) == {
            "a": [MASK, 1, None], "b": {"c": MASK},
        }  # fmt: skip
    assert current() is None
    assert redact_text("hunter2222") == "hunter2222"


def test_a_value_that_comes_while_the_pattern_is_made_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread (the preflight has several) registers one in that very moment."""
    redactor = Redactor()
    redactor.add(["hunter2222"])
    adding = threading.Thread(target=redactor.add, args=(["swordfish1"],))
    made = module._pattern_for

    def slowly(forms: set[str]) -> re.Pattern[str]:
        pattern = made(set(forms))
        adding.start()
        adding.join(0.2)
        return pattern

    monkeypatch.setattr(module, "_pattern_for", slowly)
    assert redactor.redact("hunter2222") == MASK
    adding.join()
    monkeypatch.setattr(module, "_pattern_for", made)
    assert redactor.redact("swordfish1") == MASK


def test_values_are_added_and_replaced_by_many_threads_at_once() -> None:
    redactor = Redactor()
    left: list[str] = []

    def work(number: int) -> None:
        for step in range(40):
            value = f"value-{number}-{step}"
            redactor.add([value])
            left.extend([value] if value in redactor.redact(f"it is {value}.") else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == []


def test_many_values_are_one_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    compiling = module._pattern_for
    monkeypatch.setattr(module, "_pattern_for", lambda forms: made.append(len(forms)) or compiling(forms))
    redactor = Redactor()
    values = [f"value-number-{number}" for number in range(50)]
    redactor.add(values)
    redactor.add(values[:3])  # known already
    assert redactor.redact(" ".join(values)) == " ".join([MASK] * 50)
    redactor.redact("again")
    assert len(made) == 1


def test_a_redactor_in_force_is_kept() -> None:
    with redactor_in_force() as made:
        assert current() is made
        with redactor_in_force() as same:
            assert same is made
        with redacting() as other:
            assert other is not made
        assert current() is made
    assert current() is None


CUT = "Zu9-kangaroo/4711:swordfish"


@pytest.mark.parametrize("left", [6, 13, len(CUT) - 1])
@pytest.mark.parametrize("after", ["", "\nnext line", "…", "…, and more", "\r\n"])
def test_a_cut_leaves_no_beginning_of_a_value(left: int, after: str) -> None:
    redactor = Redactor()
    redactor.add([CUT])
    line = "x" * (200 - left) + CUT[:left]
    shown = redactor.redact(f"first line\n{line}{after}")
    assert shown == "first line\n" + "x" * (200 - left) + MASK + after


def test_a_cut_leaves_no_beginning_of_base64_or_of_one_of_two_values() -> None:
    redactor = Redactor()
    redactor.add([CUT, "kangaroo-in-the-outback"])
    encoded = base64.b64encode(CUT.encode()).decode()
    assert redactor.redact("x" * 300 + encoded[:20]) == "x" * 300 + MASK
    assert redactor.redact("x" * 300 + "Zu9-kangaroo-in") == "x" * 300 + "Zu9-" + MASK
    assert redactor.redact("x" * 300 + "swordf" + CUT[:8] + "?") == "x" * 300 + "swordf" + CUT[:8] + "?"
    assert redactor.redact("Zu9-kangaroo") == "Zu9-kangaroo"  # no cut leaves so little


def test_a_value_with_nul_is_known_without_it() -> None:
    redactor = Redactor()
    redactor.add(["hun\x00ter2-horse"])
    assert redactor.redact("a hunter2-horse b") == f"a {MASK} b"


@given(
    values=st.lists(VALUES, min_size=1, max_size=8),
    parts=st.lists(st.tuples(st.integers(0, 7), st.integers(1, 60), AROUND), max_size=30),
)
def test_of_many_values_the_same_is_hidden_as_of_few(
    values: list[str], parts: list[tuple[int, int, str]]
) -> None:
    text = "".join(values[at % len(values)][:length] + around for at, length, around in parts)
    few, many = Redactor(), Redactor()
    few.add(values)
    many.add(f"~{number:06}~" for number in range(module.MANY_FORMS))
    many.add(values)
    assert many.redact(text) == few.redact(text)
    assert many.redact(f"{text}~000007~").endswith(MASK)
