"""Mistakes in values that nobody sees, what mends them, kinds, random values."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from secrets_ui.values import pem
from secrets_ui.values.checks import _ends, _hidden, _structure, check_pairs, check_raw, check_value
from secrets_ui.values.kinds import kind_of
from secrets_ui.values.mends import MENDS, mend
from secrets_ui.values.random_values import KINDS, random_value

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.from_regex(r"[A-Za-z0-9_.:@/+=-]{3,60}", fullmatch=True))
def test_what_is_looked_for_in_lines_is_not_in_a_single_word(text: str) -> None:
    """Most values are one word, for which that is left out."""
    assert not [*_ends(text), *_hidden(text), *_structure(text)]


@cache
def key() -> bytes:
    return private().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(days: float, begins: float = -400) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    made = x509.CertificateBuilder(name, name, private().public_key(), x509.random_serial_number())
    made = made.not_valid_before(NOW + timedelta(days=begins)).not_valid_after(NOW + timedelta(days=days))
    return made.sign(private(), hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("value", "code", "mended"),
    [
        (b"hunter2\n", "trailing-newline", b"hunter2"),
        (b"hunter2\r\n", "trailing-newline", b"hunter2"),
        (b"hunter2 ", "trailing-space", b"hunter2"),
        (b"hunter2\t", "trailing-space", b"hunter2"),
        (b" hunter2", "leading-space", b"hunter2"),
        (b"one\r\ntwo\r\n", "crlf", b"one\ntwo\n"),
        ("hunter\u00a02".encode(), "invisible", b"hunter 2"),
        ("hun\u200bter2".encode(), "invisible", b"hunter2"),
        ("\ufeffhunter2".encode(), "invisible", b"hunter2"),
        (b'"hunter2"', "quotes", b"hunter2"),
        (b"'hunter2'\n", "quotes", b"hunter2"),
        (base64.b64encode(b"hunter2 is text"), "double-base64", b"hunter2 is text"),
        (b"hunter2\0", "nul", b"hunter2"),
    ],
)
def test_each_mistake_is_named_and_mended(value: bytes, code: str, mended: bytes) -> None:
    found = {finding.code: finding for finding in check_value(value)}
    assert found[code].mendable
    assert mend(code, value) == mended
    assert "hunter2" not in "".join(finding.text for finding in found.values())


@pytest.mark.parametrize(
    "value",
    [
        b"hunter2",
        b"two\nlines\n",
        b'{"a": 1}\n',
        "Grüße".encode(),
        b"\x80\x81",
        b"0123456789abcdef",
        b"it's",
        b"a b",
        b"https://x.example/?a=b",
        b"abcdefgh",
        b"[section]\nkey=1\n" + b"x",
        base64.b64encode(bytes(range(200, 230))),
    ],
)
def test_nothing_is_said_of_good_values(value: bytes) -> None:
    assert check_value(value) == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "placeholder"),
        (b"changeme", "placeholder"),
        (b"sample", "placeholder"),
        (b'{"a": 1,}', "json"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "pem"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "pem"),
        ("x".encode("utf-16-le") * 4, "nul-inside"),
    ],
)
def test_what_only_a_person_can_mend(value: bytes, code: str) -> None:
    (finding,) = [finding for finding in check_value(value, sample=b"sample") if finding.code == code]
    assert not finding.mendable


@pytest.mark.parametrize(
    ("days", "begins", "words"),
    [
        (400, -1, None),
        (29.5, -1, "ends in 29 days"),
        (1.2, -1, "ends in 1 day"),
        (0.5, -1, "ends in less than a day"),
        (-3.5, -9, "ended 3 days ago"),
        (90, 5, "not valid yet"),
    ],
)
def test_certificates_that_end(days: float, begins: float, words: str | None) -> None:
    found = check_value(certificate(days, begins), now=NOW)
    assert [words in finding.text for finding in found] == ([True] if words else [])
    chain = certificate(400) + certificate(days, begins)
    assert len(check_value(chain, now=NOW)) == len(found)


def test_a_pem_in_one_line_gets_its_line_ends_back() -> None:
    flat = key().replace(b"\n", b"\\n")
    (finding,) = check_value(flat)
    assert mend(finding.code, flat) == key()
    assert check_value(key()) == []
    assert kind_of(key()).name == "PEM"


def test_a_certificate_belongs_to_the_key_beside_it() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    good = {"tls.crt": certificate(90), "tls.key": key(), "ca.crt": certificate(90)}
    assert check_pairs(good) == {}
    found = check_pairs(good | {"tls.key": other})
    assert list(found) == ["tls.crt"]
    assert "tls.key" in found["tls.crt"].text
    assert check_pairs(good | {"tls.key": b"no key"}) == {}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("hunter2!", "not-base64"),
        ("YWJ", "not-base64"),
        ("bill", "maybe-not-base64"),
        ("true", "maybe-not-base64"),
        ("aHVudGVyMg==", None),
        ("gIA=", None),
    ],
)
def test_plain_text_where_base64_belongs(raw: str, code: str | None) -> None:
    assert [finding.code for finding in check_raw(raw)] == ([code] if code else [])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "empty"),
        (b"\xff\x00", "binary, 2 bytes"),
        (b"x", "text, 1 character"),
        ("ü".encode(), "text, 1 character"),
        (b"a\nb", "multi-line, 3 characters"),
        (b"[1]", "JSON, 3 characters"),
        (b"postgres://u@h/d", "URL, 16 characters"),
        (b"deadbeef00", "hex, 10 characters"),
        (b"1234567890", "text, 10 characters"),
        (b"a\0b", "binary, 3 bytes"),
        (b"\x80", "binary, 1 byte"),
    ],
)
def test_kinds(value: bytes, words: str) -> None:
    assert kind_of(value).words == words


@given(st.binary())
def test_any_bytes_can_be_looked_at_and_mended(value: bytes) -> None:
    kind_of(value)
    for finding in check_value(value):
        if finding.mendable:
            assert finding.code not in {again.code for again in check_value(mend(finding.code, value))} or finding.code in (
                "quotes", "double-base64", "escaped-newlines",
            )  # fmt: skip


@example("\r\r\n=")
@given(st.text(alphabet=" \r\n\t\u00a0\u200b\"'ab{}[]=\\n", max_size=12))
def test_a_mend_does_away_with_its_finding(text: str) -> None:
    for finding in check_value(text.encode()):
        if finding.mendable and finding.code not in ("quotes", "double-base64"):
            assert finding.code not in [
                again.code for again in check_value(mend(finding.code, text.encode()))
            ]


def test_every_mend_is_offered_by_some_finding() -> None:
    assert set(MENDS) == {"trailing-newline", "trailing-space", "leading-space", "crlf", "invisible", "quotes",
                          "double-base64", "escaped-newlines", "nul"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_random_values_have_their_form_and_never_repeat(kind: str) -> None:
    values = {random_value(kind, length) for length in (8, 31, 32, 1024) for _ in range(5)}
    assert len(values) == 20
    if kind == "letters and digits":
        assert all(value.isalnum() for value in values)
    elif kind == "hex":
        assert {len(value) for value in values} == {8, 31, 32, 1024}
        assert all(set(value) <= set(b"0123456789abcdef") for value in values)
    elif kind == "base64":
        assert all(base64.b64encode(base64.b64decode(value)) == value for value in values)
    elif kind == "UUID":
        assert {len(value) for value in values} == {36}


@pytest.mark.parametrize(("kind", "length"), [("hex", 7), ("hex", 1025), ("words", 20)])
def test_random_values_that_are_refused(kind: str, length: int) -> None:
    with pytest.raises(ValueError):
        random_value(kind, length)


def test_many_beginnings_without_an_end_are_given_up_at_the_next_one() -> None:
    """Each of them was looked after to the end of the value: 2 s for one of 64 kB."""
    text = b"-----BEGIN X-----\n" * 3
    assert pem._BLOCK.search(text) is None
    whole = b"-----BEGIN X-----\nA-B\nAAAA\n-----END X-----\n"
    assert [match.group(2) for match in pem._BLOCK.finditer(text + whole)] == [b"A-B\nAAAA\n"]
    crossing = b"-----BEGIN X-----\nAAAA\n-----BEGIN Y-----\nBBBB\n-----END Y-----"
    assert [match.group(1) for match in pem._BLOCK.finditer(crossing)] == [b"Y"]
