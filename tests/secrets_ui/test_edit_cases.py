"""Secrets files edited in place: one case for each form, and each that is refused."""

from __future__ import annotations

import base64
import time

import pytest

from engine.errors import ManifestError
from secrets_ui.files.edit import apply_edits, room
from secrets_ui.files.edits import Add, EditError, Remove, Rename, Set
from secrets_ui.files.model import open_text
from secrets_ui.files.proof import NotAsMeant
from tests.secrets_ui.support import HEAD, b64, edit, refused

X = Set(b"x")  # base64 eA==


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("data:\n  k: b2xk # why\n  z: b2xk\n", "data:\n  k: eA== # why\n  z: b2xk\n"),
        ("data:\n  k: 'b2xk'\n", "data:\n  k: 'eA=='\n"),
        ('data:\n  k: "b2xk"  # c\n', 'data:\n  k: "eA=="  # c\n'),
        ("data:\n  k:\n", "data:\n  k: eA==\n"),
        ("data:\n  k:   # fill in\n", "data:\n  k: eA==   # fill in\n"),
        ("data:\n  k:", "data:\n  k: eA=="),
        ("data: {a: b2xk, k: b2xk}", "data: {a: b2xk, k: eA==}"),
        ("data: {k: , a: b2xk}", "data: {k: eA== , a: b2xk}"),
        ("data:\n  k: |\n    b2\n    xk\n\n  # z\n  z: eg==\n", "data:\n  k: eA==\n\n  # z\n  z: eg==\n"),
        ("data:\n  k: >- # folded\n    b2xk\n", "data:\n  k: eA== # folded\n"),
        ("data:\n  k: |+\n    b2xk\n\n\n  z: eg==\n", "data:\n  k: eA==\n  z: eg==\n"),
        ("data:\n  k: |\n    b2xk", "data:\n  k: eA==\n"),
        ("data:\n  k:\n    b2xk\n", "data:\n  k:\n    eA==\n"),
        ("data:\n  k: b2\n    xk\n  z: eg==\n", "data:\n  k: eA==\n  z: eg==\n"),
        ('data:\n  k: "b2\n    xk" # c\n', 'data:\n  k: "eA==" # c\n'),
        ("data:\n  k: b2xk # a\r\n  z: eg==\r\n", "data:\n  k: eA== # a\r\n  z: eg==\r\n"),
        ("data:\n  k: &own b2xk\n", "data:\n  k: &own eA==\n"),
        ("stringData:\n  k: old\n", "stringData:\n  k: x\n"),
        ("stringData:\n  k: 'it''s'\n", "stringData:\n  k: 'x'\n"),
        ("stringData:\n  k: |\n    old\n    text\n  z: z\n", "stringData:\n  k: |-\n    x\n  z: z\n"),
        ("stringData:\n  k: >-\n      old\n      text\n", "stringData:\n  k: |-\n      x\n"),
        ("data:\n  k: not base64!\n", "data:\n  k: eA==\n"),
    ],
)
def test_a_value_is_replaced_in_its_place(before: str, after: str) -> None:
    assert edit(HEAD + before, k=X) == HEAD + after
    if "stringData" not in before and "\r\n" not in before:
        windows = edit((HEAD + before).replace("\n", "\r\n"), k=X)
        assert windows == (HEAD + after).replace("\n", "\r\n")
        assert edit("\ufeff" + HEAD + before, k=X) == "\ufeff" + HEAD + after


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ("1234", '"1234"'),
        ("true", '"true"'),
        ("null", '"null"'),
        ("0777", '"0777"'),
        ("1e10", '"1e10"'),
        ("", '""'),
        ("yes0", "yes0"),
        ("YWJj", "YWJj"),
        ("/w==", "/w=="),
        ("+w==", "+w=="),
    ],
)
def test_base64_that_yaml_takes_for_something_else_is_quoted(raw: str, written: str) -> None:
    value = Set(base64.b64decode(raw))
    assert edit(f"{HEAD}data:\n  k: eA==\n", k=value) == f"{HEAD}data:\n  k: {written}\n"
    assert edit(f"{HEAD}data:\n  k: 'eA=='\n", k=value) == f"{HEAD}data:\n  k: '{raw}'\n"


@pytest.mark.parametrize("raw", ["1234", "true", "null", "0777", "yes0"])
def test_unquoted_base64_of_others_is_read_as_written_and_stays(raw: str) -> None:
    text = f"{HEAD}data:\n  other: {raw}\n  k: eA==\n"
    assert f"other: {raw}\n" in edit(text, k=Set(b"y"))


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("one\ntwo\n", "|\n    one\n    two\n"),
        ("one\n\n  two", "|-\n    one\n\n      two\n"),
        ("a\tb # c: 'd'\n", "|\n    a\tb # c: 'd'\n"),
        ("ends\n\n", '"ends\\n\\n"\n'),
        (" begins", '" begins"\n'),
        ("a\r\nb", '"a\\r\\nb"\n'),
        ("", '""\n'),
        ("\u2028", '"\\u2028"\n'),
        ("\x00", '"\\u0000"\n'),
        ('"quoted" \\', '|-\n    "quoted" \\\n'),
    ],
)
def test_a_block_of_text_stays_one_where_it_can(value: str, lines: str) -> None:
    text = f"{HEAD}stringData:\n  k: |\n    old\n  z: last # z\n"
    assert edit(text, k=Set(value.encode())) == f"{HEAD}stringData:\n  k: {lines}  z: last # z\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "data:\n  a: eA==\n  # about k\n  k: eA== # own\n  # about b\n  b: eA==\n",
            "data:\n  a: eA==\n  # about k\n  # about b\n  b: eA==\n",
        ),
        ("data:\n  k: |\n    eA==\n  b: eA==\n", "data:\n  b: eA==\n"),
        ("data:\n  k: eA==\n", "data:\n"),
        ("data:\n  a: eA==\n  k: eA==", "data:\n  a: eA==\n"),
        ("data: {k: eA==}\n", "data: {}\n"),
        ("data: {k: eA==, a: eA==}\n", "data: {a: eA==}\n"),
        ("data: {a: eA==, k: eA==}\n", "data: {a: eA==}\n"),
        ("data: {a: eA==, k: eA==, }\n", "data: {a: eA==, }\n"),
        ("data: {\n  a: eA==, # a\n  k: eA== # k\n}\n", "data: {\n  a: eA== # a\n}\n"),
        ("data: {\n  k: eA==, # k\n  a: eA== # a\n}\n", "data: {\n  a: eA== # a\n}\n"),
        ("stringData:\n  a: |+\n    x\n  k: |\n    y\n\n\n  b: z\n", "stringData:\n  a: |+\n    x\n  b: z\n"),
    ],
)
def test_a_key_is_taken_out_with_its_own_lines(before: str, after: str) -> None:
    assert edit(HEAD + before, k=Remove()) == HEAD + after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "data:\n  a: eA== # a\n  # end\ntype: Opaque\n",
            "data:\n  a: eA== # a\n  k: eA==\n  # end\ntype: Opaque\n",
        ),
        ("data:\n    a: eA==\n", "data:\n    a: eA==\n    k: eA==\n"),
        ("data:\n  a: 'eA=='\n", "data:\n  a: 'eA=='\n  k: 'eA=='\n"),
        ("data:\n  a: |\n    eA==\n\n# end\n", "data:\n  a: |\n    eA==\n  k: eA==\n\n# end\n"),
        ("data:\n  a: eA==", "data:\n  a: eA==\n  k: eA=="),
        ("data: {}\n", "data:\n  k: eA==\n"),
        ("data: {} # none yet\n", "data: # none yet\n  k: eA==\n"),
        ("data: null\ntype: Opaque\n", "data:\n  k: eA==\ntype: Opaque\n"),
        ("data:\ntype: Opaque\n", "data:\n  k: eA==\ntype: Opaque\n"),
        ("", "data:\n  k: eA==\n"),
        ("type: Opaque # t\n", "type: Opaque # t\ndata:\n  k: eA==\n"),
        ("data: {a: eA==}\n", "data: {a: eA==, k: eA==}\n"),
        ('data: {"a": "eA==" }\n', 'data: {"a": "eA==", "k": "eA==" }\n'),
        ("data: {\n  a: eA== # a\n}\n", "data: {\n  a: eA==, # a\n  k: eA==\n}\n"),
        ("data: {\n  a: eA==, # a\n}\n", "data: {\n  a: eA==, # a\n  k: eA==,\n}\n"),
        ("stringData:\n  a: text\n", "stringData:\n  a: text\n  k: x\n"),
    ],
)
def test_a_key_is_added_behind_the_last(before: str, after: str) -> None:
    assert edit(HEAD + before, k=Add(b"x")) == HEAD + after
    windows = edit((HEAD + before).replace("\n", "\r\n"), k=Add(b"x"))
    assert windows == (HEAD + after).replace("\n", "\r\n")


def test_a_block_at_the_very_end_gets_its_line_end() -> None:
    text = f"{HEAD}data:\n  a: |\n    eA\n    =="
    assert edit(text, k=Add(b"x")) == f"{text}\n  k: eA=="
    strings = f"{HEAD}stringData:\n  a: |\n    without a line end"
    with pytest.raises(NotAsMeant):  # a would get a line end
        edit(strings, k=Add(b"x"))


def test_binary_goes_into_data_beside_string_data() -> None:
    text = edit(f"{HEAD}stringData:\n  a: text\n", k=Add(b"\x80"))
    assert text == f"{HEAD}stringData:\n  a: text\ndata:\n  k: gA==\n"


def test_renaming_keeps_value_place_and_quotes() -> None:
    before = f"{HEAD}data:\n  'k': |\n    eA==\n  b: eA==\n"
    assert edit(before, k=Rename("k2")) == before.replace("'k'", "'k2'")
    assert edit(before, b=Rename("1234")) == before.replace("b:", '"1234":')
    assert edit(before, b=Rename("c", b"y")) == before.replace("b: eA==", "c: eQ==")
    assert "exists already" in refused(before, b=Rename("k"))
    swapped = edit(before, b=Rename("k"), k=Rename("b"))
    assert swapped == f"{HEAD}data:\n  'b': |\n    eA==\n  k: eA==\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("data:\n  a: &x eA==\n  k: *x\n", "line 7: its value comes by an alias (*x)"),
        ("data:\n  k: &x eA==\n  b: *x\n", "line 6: an alias elsewhere repeats its value (&x)"),
        ("data: &d\n  k: eA==\nstringData: *d\n", "the values come by an alias (*d)"),
        ("x: &d\n  k: eA==\ndata:\n  <<: *d\n  b: eA==\n", "merge key"),
        ("data:\n  k: !!str eA==\n", "line 6: it carries a tag"),
        ("data: !!map\n  k: eA==\n", "carry a tag"),
        ("data:\n  k: eA==\n  k: eQ==\n", "it stands more than once, in lines 6 and 7"),
        ("data:\n  k: eA==\nstringData:\n  k: x\n", "in lines 6 and 8"),
        ("data:\n  ? k\n  : eA==\n", "its key is written with “?”"),
        ("data:\n  k: [eA==]\n", "its value is a list"),
        ("data: {k, b: eA==}\n", "cannot be edited here"),
    ],
)
def test_what_cannot_be_edited_in_place_is_refused_by_key(body: str, reason: str) -> None:
    assert reason in refused(HEAD + body, k=X)
    assert reason in refused(HEAD + body, k=Remove())
    entry = open_text(HEAD + body).secrets[0].entry("k")
    assert entry is not None
    assert reason in entry.locked


@pytest.mark.parametrize(
    "body",
    [
        "data:\n  a: &x eA==\n  k: *x\n  b: eA==\n",
        "x: &d\n  k: eA==\ndata:\n  <<: *d\n  b: eA==\n",
        "data:\n  k: !!str eA==\n  b: eA==\n",
        "data:\n  k: eA==\n  k: eQ==\n  b: eA==\n",
        "data:\n  ? k\n  : eA==\n  b: eA==\n",
        "data:\n  k: no base64\n  b: eA==\n",
        "data:\n  k: eA==\nstringData:\n  k: x\n  b: eA==\n",
    ],
)
def test_the_other_keys_stay_editable(body: str) -> None:
    text = edit(HEAD + body, b=Set(b"new"))
    assert text.count("bmV3") + text.count("b: new") == 1
    assert len(text.splitlines()) == len((HEAD + body).splitlines())


def test_several_secrets_and_lists_are_told_apart() -> None:
    one, two = (f"{HEAD}data:\n  k: eA==\n".replace("app", name) for name in ("one", "two"))
    text = f"{one}---\n{two}"
    opened = open_text(text)
    assert [secret.name for secret in opened.secrets] == ["one", "two"]
    assert opened.find("two").index == 1
    assert apply_edits(opened, {(1, "k"): Set(b"y")}) == f"{one}---\n{two.replace('eA==', 'eQ==')}"
    listed = "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: a}\n  data:\n    k: eA==\n"
    listed += "- metadata: {name: b}\n  data: {k: eA==}\n"
    assert apply_edits(open_text(listed), {(0, "m"): Add(b"x"), (1, "k"): Set(b"y")}) == (
        "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: a}\n  data:\n    k: eA==\n    m: eA==\n"
        "- metadata: {name: b}\n  data: {k: eQ==}\n"
    )


def test_binary_values_of_other_keys_survive() -> None:
    """Rancher and OpenShift lost them: every value went through a text field."""
    binary = bytes(range(256))
    text = edit(f"{HEAD}data:\n  k: eA==\n", blob=Add(binary))
    text = edit(text, k=Set(b"new"))
    assert open_text(text).secrets[0].values() == {"k": b"new", "blob": binary}


def test_json_files_stay_json() -> None:
    text = '{\n\t"apiVersion": "v1", "kind": "Secret",\n\t"metadata": {"name": "a"},\n\t"data": {\n\t\t"a": "eA==",\n'
    text += '\t\t"k": "eA=="\n\t}\n}\n'
    assert edit(text, k=Remove()) == text.replace(',\n\t\t"k": "eA=="', "")
    added = edit(text, **{"1234": Add(b"x")})
    assert added == text.replace('"k": "eA=="', '"k": "eA==",\n\t\t"1234": "eA=="')
    bare = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}'
    assert edit(bare, k=Add(b"x")) == bare[:-1] + ', "data": {"k": "eA=="}}'
    empty = bare[:-1] + ', "data": null}'
    assert edit(empty, k=Add(b"x")) == bare[:-1] + ', "data": {"k": "eA=="}}'


def test_flat_objects_are_edited_as_text() -> None:
    text = '{\n  "user": "ana",\n  "k": "x\\ud83d\\ude00",\n  "port": 5432\n}\n'
    opened = open_text(text)
    assert opened.form == "flat"
    assert [(e.key, e.value, e.mistake) for e in opened.secrets[0].entries] == [
        ("user", b"ana", ""), ("k", "x😀".encode(), ""), ("port", None, "must be text; write the value in quotes"),
    ]  # fmt: skip
    assert edit(text, k=Set('\u2028\n"ü'.encode())) == text.replace("x\\ud83d\\ude00", '\\u2028\\n\\"ü')
    assert edit(text, port=Set(b"5432")) == text.replace("5432", '"5432"')
    assert edit(text, k=Remove()) == text.replace('  "k": "x\\ud83d\\ude00",\n', "")
    assert edit(text, n=Add(b"x")) == text.replace("5432", '5432,\n  "n": "x"')
    assert edit("{}", n=Add(b"x")) == '{"n": "x"}'
    assert "text only" in refused(text, k=Set(b"\x80"))


@pytest.mark.parametrize(
    ("key", "accepted"),
    [
        ("a.b-c_D9", True),
        ("a" * 253, True),
        ("a" * 254, False),
        ("..", False),
        (".", False),
        ("..x", False),
        ("a b", False),
        ("a\n", False),
        ("ä", False),
        ("", False),
        ("<<", False),
    ],
)
def test_keys_are_those_that_kubernetes_takes(key: str, accepted: bool) -> None:
    opened = open_text(f"{HEAD}data:\n  k: eA==\n")
    for edit_made in ({(0, key): Add(b"x")}, {(0, "k"): Rename(key)}):
        if accepted:
            assert key in open_text(apply_edits(opened, edit_made)).secrets[0].values()
            continue
        with pytest.raises(EditError, match="not a valid key"):
            apply_edits(opened, edit_made)


def test_a_comment_that_would_become_a_value_stops_the_edit() -> None:
    text = f"{HEAD}stringData:\n  a: |\n    x\n  k: y\n    # deeper\n"
    with pytest.raises(NotAsMeant, match="read differently"):
        edit(text, k=Remove())


def test_nothing_of_a_value_is_shown() -> None:
    text = f"{HEAD}data:\n  k: {b64('c4n4ry-one')}\n  z: not!c4n4ry\nstringData:\n  s: c4n4ry-two\n"
    opened = open_text(text)
    shown = f"{opened!r} {opened.secrets[0].entries!r} {Set(b'c4n4ry')!r} {Add(b'c4n4ry')!r} {Rename('a', b'c4n4ry')!r}"
    for broken in (text + "  x: *c4n4ry\n", text + " c4n4ry: [\n", "c4n4ry"):
        with pytest.raises(ManifestError) as caught:
            open_text(broken)
        shown += f"{caught.value!r} {caught.value.message}"
    with pytest.raises(EditError) as refusal:
        edit(text, s=Set(b"\x80c4n4ry"))
    assert "c4n4ry" not in f"{shown} {refusal.value!r} {refusal.value.problems}"
    assert b64("c4n4ry-one") not in shown


def test_room_counts_bytes_of_the_whole_text() -> None:
    assert room("ü" * 10) == (20, 65_536)


def test_five_hundred_edits_at_once_take_no_time() -> None:
    text = f"{HEAD}data:\n" + "".join(f"  KEY_{n}: eA==\n" for n in range(500))
    began = time.process_time()
    edited = apply_edits(open_text(text), {(0, f"KEY_{n}"): Set(b"y") for n in range(500)})
    assert edited == text.replace("eA==", "eQ==")
    assert time.process_time() - began < 10  # each edit that reads the text anew makes it minutes
