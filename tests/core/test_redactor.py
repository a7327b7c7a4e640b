"""Nothing that was registered is left in a text, in whichever form it stands there."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import string
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.matcher import MOST_FORMS
from core.redactor import (
    FULL,
    MASK,
    MOST_TEXT,
    Redactor,
    current,
    redact_nested,
    redact_text,
    redacting,
    redactor_in_force,
)
from core.secret_forms import forms_of, is_token, lines_of, parts_of

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
    "in an address as a path": lambda value: quote(value.strip()),
    "in an address in lower case": lambda value: lower_percent(quote(value.strip(), safe="")),
    "hexadecimal": lambda value: value.encode().strip().hex(),
    "hexadecimal in capitals": lambda value: value.encode().hex().upper(),
    "in HTML": lambda value: html.escape(value.strip()),
    "in HTML as Go writes it": lambda value: (
        html.escape(value.strip()).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    ),
    "in JSON as Go writes it": lambda value: go_json(value.strip()),
}


def lower_percent(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def go_json(text: str) -> str:
    """encoding/json escapes these, so that the text may stand in HTML."""
    written = json.dumps(text, ensure_ascii=False)
    for one in "<>&\u2028\u2029":
        written = written.replace(one, f"\\u{ord(one):04x}")
    return written


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
    pieces = (piece for value in values for piece in (value, *parts_of(value)))
    if not any(form in text for piece in pieces for form in forms_of(piece) if len(form) >= 4):
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


def test_values_that_stand_side_by_side_are_each_replaced() -> None:
    redactor = Redactor()
    values = [f"value-number-{number}" for number in range(50)]
    redactor.add(values)
    redactor.add(values[:3])  # known already
    assert redactor.redact(" ".join(values)) == " ".join([MASK] * 50)


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


@given(before=st.binary(max_size=5), value=st.binary(min_size=9, max_size=80), after=st.binary(max_size=5))
def test_base64_of_a_longer_text_shows_no_value_inside_it(before: bytes, value: bytes, after: bytes) -> None:
    """As in `Authorization: Basic`: user and password are encoded together."""
    redactor = Redactor()
    redactor.add([value])
    encoded = base64.b64encode(before + value + after).decode()
    first, last = (
        -(-len(before) * 8 // 6),
        (len(before) + len(value)) * 8 // 6,
    )  # characters of the value alone
    assert encoded[first:last] not in redactor.redact(encoded)


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("length", [60, 150, 3000, 9000])
def test_no_line_of_wrapped_base64_is_left(width: int, length: int) -> None:
    value = bytes(index * 7919 % 251 for index in range(length))
    redactor = Redactor()
    redactor.add([value])
    encoded = base64.b64encode(value).decode()
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]
    if length > 4096:  # of a large value the beginning, and pieces
        lines = lines[:30]
    for line in lines:
        if len(line) >= 6:
            assert line not in redactor.redact(f"x {line}\n")


PARTS = {
    "postgres://app:Ck9-in-a-url@db.example/shop": ["Ck9-in-a-url"],
    "postgres://app:p%40ss%2Fword@db/shop?x=1": ["p%40ss%2Fword", "p@ss/word"],
    "redis://:only-a-password9@cache:6379": ["only-a-password9"],
    "# of the shop\nexport API_TOKEN='quoted-9-token'\nDSN=mysql://a:inner-Pa55@h/db\n": [
        "quoted-9-token",
        "inner-Pa55",
    ],
    '{"a": [{"password": "hunter22"}], "url": "https://u:in-json-9@h/"}': ["hunter22", "in-json-9"],
    '{"auths": {"r.example": {"auth": "QVdTOmRvY2tlci1wYXNzLTk="}}}': ["docker-pass-9", "AWS:docker-pass-9"],
    "password: 'yaml-9-value'\nother:\n  key: \"second-9\"\n": ["yaml-9-value", "second-9"],
    "host=db user=app password=libpq-9-pw dbname=shop": ["libpq-9-pw"],
    "Server=tcp:x;User Id=sa;Password=Ado-9-net;": ["Ado-9-net"],
}


@pytest.mark.parametrize("value", PARTS)
def test_parts_of_a_value_are_known(value: str) -> None:
    redactor = Redactor()
    redactor.add([value])
    for part in PARTS[value]:
        assert part not in redactor.redact(f"it said {part} and ended")
        encoded = base64.b64encode(f"user:{part}".encode()).decode()
        assert base64.b64encode(part.encode()).decode()[:-4] not in redactor.redact(encoded)


TOKENS = st.from_regex(r"[A-Za-z0-9_.~+/-]{1,80}={0,2}", fullmatch=True)


@given(TOKENS)
def test_a_token_has_the_percent_forms_of_the_library(value: str) -> None:
    """Base64 and other single words are spelled in a shorter way, with the same result."""
    percent = {quote(value, safe=""), quote(value), quote_plus(value)}
    assert percent | set(map(lower_percent, percent)) <= set(forms_of(value))


@given(TOKENS)
def test_a_token_has_no_parts_and_no_other_lines(value: str) -> None:
    assert is_token(value)
    assert not [*parts_of(value)]
    assert {*lines_of(value)} <= {value} <= {*forms_of(value)}


def test_the_readable_line_of_a_binary_value_is_known() -> None:
    redactor = Redactor()
    redactor.add([b"\xffreadable-inside\xfe"])
    assert redactor.redact("it is readable-inside there") == f"it is {MASK} there"


def test_values_with_the_same_beginning_are_told_apart() -> None:
    redactor = Redactor()
    redactor.add(["same-beginning-1", "same-beginning-22", "same-beginning-1"])
    assert (
        redactor.redact("same-beginning-22, same-beginning-1, same-beginning-3")
        == f"{MASK}, {MASK}, same-beginning-3"
    )
    redactor.add([f"same-beginning-{number}" for number in range(3, 40)])
    assert (
        redactor.redact("same-beginning-22, same-beginning-3, same-beginning")
        == f"{MASK}, {MASK}, same-beginning"
    )


def test_ordinary_words_inside_a_value_stay() -> None:
    redactor = Redactor()
    redactor.add(["APP_ENV=production\nDEBUG=false\nREGION=eu\nTOKEN=Zx8-long-one\n"])
    assert redactor.redact("production runs, false, eu") == "production runs, false, eu"


def test_any_longer_piece_of_a_long_value_is_known() -> None:
    value = "".join(chr(33 + index * 7919 % 90) for index in range(1500))
    redactor = Redactor()
    redactor.add([value])
    for at in (0, 100, 777, 1500 - 200):
        piece = value[at : at + 200]
        left = redactor.redact(f"before {piece} behind")
        assert left == f"before {MASK} behind"


def test_of_a_large_value_the_whole_line_goes() -> None:
    value = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=1_000_000))
    redactor = Redactor()
    redactor.add([value])
    for at in (0, 20, 1500):
        assert redactor.redact(f"one\nit is {value[at : at + 200]}\nthree") == f"one\n{MASK}\nthree"
    assert redactor.redact(f"one\n{value}\nthree") == f"one\n{MASK}\nthree"
    assert value[:40] not in redactor.redact("x" * 160 + value[:40])


def test_the_worst_files_stay_bounded() -> None:
    """Values of a megabyte in lines with the same beginning."""
    redactor = Redactor()
    text = "".join(f"same-beginning-{number:08x}\n" for number in range(45_000))
    for number in range(20):
        redactor.add([f"{number}{text}"])
    assert redactor.redact("see same-beginning-00000007 there") == f"see {MASK} there"
    assert redactor._looked_through > MOST_TEXT
    assert redactor._matcher.count <= MOST_FORMS
    assert redactor.redact("same-beginning-zzzzzzzz " * 2000).startswith("same-beginning-zzzzzzzz ")


def test_many_values_before_it_do_not_uncover_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployer's own Secrets in Git are registered before those of AWS, and may be many."""
    monkeypatch.setattr("core.redactor.MOST_TEXT", 200_000)
    redactor = Redactor()
    redactor.add(["x" * 70_000 + str(number) for number in range(5)])
    redactor.add(["postgres://app:Ck9-in-a-url@db.example/shop"])
    assert "Ck9-in-a-url" not in redactor.redact("password Ck9-in-a-url was refused")


def test_a_full_redactor_shows_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.matcher.MOST_FORMS", 500)
    redactor = Redactor()
    redactor.add([f"filler-of-an-attacker-{number}" for number in range(100)])
    redactor.add(["the-secret-of-aws-4711"])
    assert redactor.redact("it is the-secret-of-aws-4711") == FULL
    assert redactor.redact("an ordinary line") == FULL
