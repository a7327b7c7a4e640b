"""Secrets files: every key preserved, every byte preserved, no value in an error."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ManifestError
from engine.manifests.documents import read_documents
from engine.manifests.masking import decode_value
from engine.manifests.secretfiles import (
    check_against_reference,
    parse_secrets_file,
    read_secrets,
    secret_values,
    storage_form,
    without_name,
)
from tests.engine.support import b64, read

HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n"
CANARY = "c4n4ry-hunter2"
KEYS = st.text(alphabet=string.ascii_letters + string.digits + "-_.", min_size=1, max_size=20).filter(
    lambda key: not key.startswith("..") and key != "."
)


def parse(body: str) -> dict[str, str]:
    (document,) = parse_secrets_file(HEAD + body, path="secrets.yaml")
    return dict(document.body["data"])


def refused(text: str) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as caught:
        parse_secrets_file(text, path="secrets.yaml")
    shown = f"{caught.value} {caught.value!r} {caught.value.problems} {caught.value.hint}"
    assert CANARY not in shown
    assert b64(CANARY) not in shown
    return caught.value.problems


@pytest.mark.parametrize("text", ["1234", "true", "null", "0777", "yes0", "0x12", "1e10", "No00", "12345678"])
def test_unquoted_base64_is_taken_as_written(text: str) -> None:
    assert parse(f"data:\n  key: {text}\n") == {"key": text}


def test_plain_text_becomes_base64_and_wins_over_data() -> None:
    found = parse("data: {a: eA==, b: eA==}\nstringData: {b: 'ü\n\n ', c: 0644, d: yes, e: 1.10}\n")
    assert {key: base64.b64decode(value).decode() for key, value in found.items()} == {
        "a": "x",
        "b": "ü\n",
        "c": "0644",
        "d": "yes",
        "e": "1.10",
    }


def test_blank_values_are_empty() -> None:
    assert parse("data: {a: , b: '', c: \"\"}\nstringData: {d: }\n") == dict.fromkeys("abcd", "")
    assert parse("") == {}
    assert parse("data:\n") == {}


def test_base64_in_several_lines() -> None:
    assert parse("data:\n  cert: |\n    YWJj\n    ZGVm\n  key: >-\n    YWJj\n    ZGVm\n") == dict.fromkeys(
        ("cert", "key"), "YWJjZGVm"
    )


def test_everything_else_is_read_as_kubectl_reads_it() -> None:
    text = HEAD + "  labels: {a: '1'}\nimmutable: true\ntype: kubernetes.io/tls\ndata: {a: 1234}\n"
    (document,) = parse_secrets_file(text, path="s.yaml")
    assert document.body["immutable"] is True
    assert document.body["type"] == "kubernetes.io/tls"
    assert document.body["metadata"] == {"name": "app", "labels": {"a": "1"}}
    assert str(document.source) == "s.yaml:1"


def test_several_secrets_and_lists() -> None:
    text = f"{HEAD}data: {{a: 1234}}\n---\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Secret, "
    text += "metadata: {name: b}, data: {a: true}}\n"
    assert [d.body["data"] for d in parse_secrets_file(text, path="s.yaml")] == [{"a": "1234"}, {"a": "true"}]


@given(st.dictionaries(KEYS, st.binary(), max_size=6), st.booleans())
def test_every_key_and_every_byte_survive(values: dict[str, bytes], quoted: bool) -> None:
    mark = "'" if quoted else ""
    lines = [f"  '{key}': {mark}{base64.b64encode(value).decode()}{mark}\n" for key, value in values.items()]
    found = parse("data:\n" + "".join(lines))
    assert list(found) == list(values)
    assert {key: decode_value(text) for key, text in found.items()} == values


@given(
    st.dictionaries(
        KEYS, st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), max_size=6
    )
)
def test_every_plain_text_survives(values: dict[str, str]) -> None:
    lines = ["  '{}': '{}'\n".format(key, value.replace("'", "''")) for key, value in values.items()]
    breaks = "\x85\u2028\u2029\ufeff"
    if any(mark in value for value in values.values() for mark in breaks):
        return
    found = parse("stringData:\n" + "".join(lines))
    assert {key: decode_value(text).decode() for key, text in found.items()} == values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{HEAD}data: {{a: '{CANARY}!!'}}", "secrets.yaml:1: Secret app: data.a is not valid base64"),
        (f"{HEAD}data: {{a: YWJj!!}}", "secrets.yaml:1: Secret app: data.a is not valid base64"),
        (f"{HEAD}data: {{a: YWJ}}", "secrets.yaml:1: Secret app: data.a is not valid base64"),
        (f"{HEAD}data: {{a: YWK=}}", "secrets.yaml:1: Secret app: data.a is not valid base64"),
        (f"{HEAD}data: {{a: [{CANARY}]}}", "secrets.yaml:1: Secret app: data.a must be text, found a list"),
        (
            f"{HEAD}data: {{a: {{b: {CANARY}}}}}",
            "secrets.yaml:1: Secret app: data.a must be text, found a mapping",
        ),
        (f"{HEAD}data: [{CANARY}]", "secrets.yaml:1: Secret app: data must be a mapping, found a list"),
        (f"{HEAD}data: {CANARY}", "secrets.yaml:1: Secret app: data must be a mapping, found text"),
        (f"{HEAD}data: {{'a b {CANARY}': eA==}}", "secrets.yaml:1: Secret app: data.? is not a valid key"),
        (f"{HEAD}data: {{..: eA==}}", "secrets.yaml:1: Secret app: data... is not a valid key"),
        (f'{HEAD}data: {{"a\\n": eA==}}', "secrets.yaml:1: Secret app: data.? is not a valid key"),
        (f"{HEAD}data: {{{'a' * 254}: eA==}}", "secrets.yaml:1: Secret app: data.? is not a valid key"),
        (f"{HEAD}data:\n  a: |\n  {CANARY}\n", "secrets.yaml:7: "),
        (f"{HEAD}data:\n  {CANARY}: a\n  {CANARY}: b\n", "secrets.yaml:7: the key stands twice"),
        (f"{HEAD}data:\n  a: *{CANARY}\n", "secrets.yaml:6: an alias"),
        (f"{HEAD}data:\n  a: '{CANARY}\n", "secrets.yaml:6: "),
        (f"{HEAD}data:\n  a: %{CANARY}\n", "secrets.yaml:6: found character that cannot start any token"),
        (f"{HEAD}data:\n  a: !!int {CANARY}\n", "secrets.yaml:6: a value does not fit its tag !!int"),
        (HEAD.replace("Secret", "ConfigMap"), "secrets.yaml:1: only objects of kind Secret"),
        (HEAD.replace("v1", "example.com/v1"), "secrets.yaml:1: only objects of kind Secret"),
        (f"{HEAD}---\n{HEAD}", "secrets.yaml:6: Secret app is already defined at secrets.yaml:1"),
        (
            f"{HEAD}data: {{a: {'YWJj' * 400_000}}}",
            "secrets.yaml:1: Secret app: its values are larger than 1 MiB",
        ),
        ("", "secrets.yaml: holds no Secret"),
        ("KEY=value", "secrets.yaml:1: a Kubernetes object is expected here, found text"),
        (f"{HEAD}data: {{a: '\ud800'}}", "secrets.yaml:5: the file is not UTF-8 text"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    assert refused(text)[0].startswith(problem)


@given(st.text())
def test_no_broken_file_shows_its_values(noise: str) -> None:
    text = f"{HEAD}data:\n  a: {noise}{CANARY}{noise}\n  b: '{CANARY}\n{noise}"
    try:
        shown = repr(parse_secrets_file(text, path="secrets.yaml"))
    except ManifestError as error:
        shown = f"{error!r} {error.problems} {error.hint}"
    assert CANARY not in shown


REFERENCE = HEAD + "data:\n  SET:\n  SAMPLE: c2FtcGxl\n  MISSING: ''\nstringData: {LEVEL: info}\n"


def test_a_secrets_file_is_compared_with_its_reference() -> None:
    text = (
        HEAD
        + f"data: {{SET: {b64('x')}, SAMPLE: c2FtcGxl, EXTRA: {b64('1')}}}\nstringData: {{LEVEL: '<level>'}}\n"
    )
    check = check_against_reference(read(REFERENCE), parse_secrets_file(text, path="s.yaml"))
    assert check.missing == ("app/MISSING",)
    assert check.extra == ("app/EXTRA",)
    assert check.placeholders == ("app/LEVEL", "app/SAMPLE")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "changeme",
        "CHANGE_ME",
        "Change-Me",
        "xxx",
        "XXXXXX",
        "<your key>",
        "todo",
        "...",
        "your-api-key",
        "***",
        " \n",
    ],
)
def test_placeholders(value: str) -> None:
    text = HEAD + f"data: {{a: '{b64(value)}'}}"
    assert check_against_reference([], parse_secrets_file(text, path="s")).placeholders == ("app/a",)


def test_a_placeholder_that_happens_to_be_base64() -> None:
    documents = parse_secrets_file(HEAD + "data: {a: changeme, b: xxxx}", path="s")
    assert check_against_reference([], documents).placeholders == ("app/a", "app/b")


@pytest.mark.parametrize("value", ["hunter2", "*", "<html>\n</html>", "xx", "yours", "<?xml?><a/>"])
def test_no_placeholders(value: str) -> None:
    text = HEAD + f"data: {{a: '{b64(value)}'}}"
    assert check_against_reference([], parse_secrets_file(text, path="s")).placeholders == ()


def test_a_reference_file_may_hold_samples_that_are_no_base64() -> None:
    documents = read_documents({"s.yaml": (HEAD + "data: {a: '<put it here>', b: 12}\n").encode()})
    assert check_against_reference(documents, []).missing == ("app/a", "app/b")


@given(
    st.dictionaries(KEYS, st.binary(min_size=1), max_size=5),
    st.dictionaries(KEYS, st.text(min_size=1), max_size=5),
)
def test_all_values_reach_the_redactor(data: dict[str, bytes], plain: dict[str, str]) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        "stringData": plain,
    }
    found = {value.encode() if isinstance(value, str) else value for value in secret_values([body])}
    wanted = data | {key: value.encode() for key, value in plain.items()}
    assert found == set(wanted.values())


def test_only_secrets_have_values_for_the_redactor() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "eA=="}}
    assert secret_values([config]) == []
    assert secret_values([config | {"kind": "Secret"}]) == ["x"]
    assert secret_values(
        [config | {"kind": "Secret", "data": {"a": "no base64!", "b": None, "c": "gIA="}}]
    ) == [
        "no base64!",
        b"\x80\x80",
    ]


FLAT = '{"SET": "ü\\n", "SAMPLE": "", "LEVEL": "debug"}'


@pytest.mark.parametrize("text", [FLAT, f"\ufeff{FLAT}\r\n", FLAT.replace(", ", ",\n\t")])
def test_a_flat_object_stands_for_the_secret_of_the_reference(text: str) -> None:
    assert storage_form(text) == "flat"
    reference = read(REFERENCE.replace("\ndata:", "\ntype: Opaque\ndata:"))
    (document,) = read_secrets(text, path="s.yaml", reference=reference)
    assert document.body == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "app"},
        "type": "Opaque",
        "data": {"SET": b64("ü\n"), "SAMPLE": "", "LEVEL": b64("debug")},
    }
    check = check_against_reference(reference, [document])
    assert (check.missing, check.extra, check.placeholders) == (("app/MISSING",), (), ("app/SAMPLE",))


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}data: {{a: eA==}}\n",
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "data": {"a": "eA=="}}',
        '{\t"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "data": {"a": "eA=="}}',
    ],
)
def test_a_secret_file_is_read_as_before(text: str) -> None:
    assert storage_form(text) == "file"
    found = read_secrets(text, path="s.yaml", reference=[])
    assert found == parse_secrets_file(text, path="s.yaml")
    assert found[0].body["data"] == {"a": "eA=="}


@pytest.mark.parametrize(
    ("text", "reference", "problem"),
    [
        (
            FLAT,
            "",
            "s.yaml: is a flat JSON object, which stands for one Secret, but the reference file holds no Secret",
        ),
        (FLAT, f"{REFERENCE}---\n{HEAD.replace('app', 'b')}", "but the reference file holds 2 Secrets"),
        (
            f'{{"PORT": 5432, "A": "{CANARY}"}}',
            REFERENCE,
            "s.yaml:1: Secret app: PORT must be text, found a number",
        ),
        (f'{{"A": ["{CANARY}"]}}', REFERENCE, "A must be text, found a list"),
        (f'{{"a b": "{CANARY}"}}', REFERENCE, "s.yaml:1: Secret app: ? is not a valid key"),
        (f'{{"A": "{CANARY}", "A": "{CANARY}"}}', REFERENCE, "stands twice"),
        (f'{{\t"A": "{CANARY}", "A": "{CANARY}"}}', REFERENCE, "stands twice"),
        (f'{{"apiVersion": "v1", "kind": "{CANARY}"}}', REFERENCE, "has no metadata.name"),
        (f'{{"metadata": {{}}, "A": "{CANARY}"}}', REFERENCE, "apiVersion is missing"),
        (f'{{"A": "{CANARY}"', REFERENCE, "s.yaml:1: "),
    ],
)
def test_what_is_refused_in_either_form(text: str, reference: str, problem: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_secrets(text, path="s.yaml", reference=read(reference) if reference else [])
    shown = f"{caught.value!r} {caught.value.problems} {caught.value.hint}"
    assert problem in caught.value.problems[0]
    assert CANARY not in shown or '"kind"' in text


@pytest.mark.parametrize(
    ("text", "plain", "key"),
    [
        (HEAD + "data: {TOKEN: '%%%'}", "s.yaml:1: Secret app: a value of data is not valid base64", "TOKEN"),
        (HEAD + "stringData: {A.b: 1}", None, ""),
        (HEAD + "data: {'b d': eA==}", "s.yaml:1: Secret app: a value of data is not a valid key; use letters, "
         "digits, -, _ and . (at most 253)", "?"),
        (HEAD + "data: 12", "s.yaml:1: Secret app: data must be a mapping, found a number", ""),
        ('{"TOKEN": 1}', "s.yaml:1: Secret app: a value must be text, found a number; write the value in quotes", "TOKEN"),
    ],
)  # fmt: skip
def test_problems_can_be_told_without_the_names_of_keys(text: str, plain: str | None, key: str) -> None:
    reference = read(HEAD + "data: {TOKEN: ''}\n")
    if plain is None:
        read_secrets(text, path="s.yaml", reference=reference)
        return
    with pytest.raises(ManifestError) as caught:
        read_secrets(text, path="s.yaml", reference=reference)
    assert without_name(caught.value.problems[0]) == (plain, key)
