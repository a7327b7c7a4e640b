"""Many values at once: what is pasted is read to the byte, and what is written is read back."""

from __future__ import annotations

import io
import re
import string

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from secrets_ui.bulk.downloading import _env
from secrets_ui.files.model import Entry
from secrets_ui.files.model import Secret as OneSecret
from secrets_ui.files.nodes import Node
from secrets_ui.values.bulk import read_pasted, write_secret_file
from secrets_ui.values.dotenv import CannotWrite, read_env, write_env
from secrets_ui.values.kinds import text_of
from tests.secrets_ui.styles import KEYS, VALUES
from tests.secrets_ui.test_edit_properties import MANY

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,252}\Z")
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.one_of(st.text(), st.text(alphabet="ab#'\"\\$ \n\r\t={}")).filter(lambda text: "\0" not in text)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K=v", "v"),
        ("export K=v", "v"),
        ("  K = v  ", "v"),
        ("K=", ""),
        ("K= # nothing", ""),
        ("K=v # why", "v"),
        ("K=v#w", "v#w"),
        ('K="v # w" # why', "v # w"),
        ("K='v # w'", "v # w"),
        ("K='a\\nb$'", "a\\nb$"),
        ('K="a\\nb\\\\\\"\\$"', 'a\nb\\"$'),
        ('K="a\nb"', "a\nb"),
        ("K='a\n# b\n'", "a\n# b\n"),
        ("K=a b  c", "a b  c"),
        ("K=a=b==", "a=b=="),
        ("K=it's", "it's"),
        ('K="a\\.b"', "a\\.b"),
        ("K=ü", "ü"),
        ('K={"a": 1}', '{"a": 1}'),
    ],
)
def test_env_lines(line: str, value: str) -> None:
    for text in (line, f"# first\n\n{line}\nL=1\n", f"\ufeff{line}\n\n# last"):
        for windows in (text, text.replace("\n", "\r\n")):
            read = read_env(windows)
            assert read.values["K"].decode() == value
            assert read.problems == ()


def test_env_problems_have_lines_and_no_values() -> None:
    text = "A=1\nc4n4ry\nB=\"c4n4ry\nC=3\nA=c4n4ry\nD='x' c4n4ry\nE=5"
    read = read_env(text)
    assert [line for line, _ in read.problems] == [2, 3, 5, 6]
    assert read.values == {"A": b"1", "C": b"3", "E": b"5"}
    assert "c4n4ry" not in repr(read)


@MANY
@given(st.dictionaries(NAMES, TEXTS, max_size=5))
def test_what_env_carries_comes_back(values: dict[str, str]) -> None:
    wanted = {key: value.encode() for key, value in values.items()}
    text = write_env(wanted)
    assert read_env(text).values == wanted
    assert read_env(text.replace("\n", "\r\n")).values == wanted


@given(st.dictionaries(NAMES, TEXTS.filter(lambda text: not set("$\\'") & set(text)), max_size=5))
def test_other_readers_agree_on_what_is_written(values: dict[str, str]) -> None:
    text = write_env({key: value.encode() for key, value in values.items()})
    assert dict(dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False)) == values


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"A": b"1", "B": b"\xff"}, ("B",)),
        ({"A": b"a\0b"}, ("A",)),
        ({"tls.crt": b"x", "A-B": b"y", "C": b""}, ("tls.crt", "A-B")),
    ],
)
def test_what_env_cannot_carry_is_refused_by_name(values: dict[str, bytes], named: tuple[str, ...]) -> None:
    with pytest.raises(CannotWrite) as caught:
        write_env(values)
    assert caught.value.keys == named
    assert all(key in caught.value.message for key in named)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_a_secret_file_carries_everything(values: dict[str, bytes]) -> None:
    read = read_pasted(write_secret_file("app", values, namespace="shop", type_="kubernetes.io/tls"))
    assert (read.values, read.problems) == (values, ())


@pytest.mark.parametrize(
    "text",
    [
        "A=1\nB=0777\nC=true\n",
        "A: 1\nB: 0777\nC: true\n",
        '{"A": "1", "B": "0777", "C": "true"}',
        '{"A": 1, "B": "0777", "C": true}',
        "# note\nA: '1'\nB: \"0777\" # n\nC: true\n",
        "export A=1\nexport B=0777\nexport C=true",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {A: 1, B: 0777, C: true}\n",
    ],
)
def test_the_form_is_recognised(text: str) -> None:
    for mark in ("", "\ufeff"):
        for windows in (text, text.replace("\n", "\r\n")):
            read = read_pasted(mark + windows)
            assert read.problems == ()
            assert read.values == {"A": b"1", "B": b"0777", "C": b"true"}


def test_multi_line_values_keep_their_line_ends() -> None:
    """Pasted through a browser, every line end is CR LF."""
    pem = "-----BEGIN X-----\nAAAA\n-----END X-----\n"
    assert read_pasted(f"A='{pem}'\n".replace("\n", "\r\n")).values["A"].decode() == pem
    block = "A: |\n  -----BEGIN X-----\n  AAAA\n  -----END X-----\nB: x\n"
    assert read_pasted(block.replace("\n", "\r\n")).values["A"].decode() == pem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A: 1\nB: [c4n4ry]\n", (2, "the value of “B” must be text")),
        ("A: 1\nA: 2\n", (2, "“A” stands twice")),
        ("a b: c4n4ry\n", (1, "KEY=value is expected")),
        ("A: 1\na b: c4n4ry\n", (0, "“a b” is not a valid key")),
        ("A: 1\n B: c4n4ry: x\n", (2, "")),
        ('{"A": {"b": 1}}', (1, "must be text")),
        ('{"A": c4n4ry}', (1, "one JSON object is expected")),
        ("kind: Secret\napiVersion: v1\ndata: {A: c4n4ry!}\n", (3, "“A” is not valid base64")),
        ("A: !!binary eA==", (1, "must be text")),
    ],
)
def test_problems_are_told_by_line(text: str, problem: tuple[int, str]) -> None:
    read = read_pasted(text)
    assert read.problems[0][0] == problem[0]
    assert problem[1] in read.problems[0][1]
    assert "c4n4ry" not in repr(read.problems)


PEM_ENDS = "A=-----BEGIN X-----\nMIIBc4n4ry\n{}\n-----END X-----\nB=1\n"


@pytest.mark.parametrize(
    ("text", "lines", "kept"),
    [
        ("A=1\nc4n4ry==\nB=1\n", [2], "AB"),
        ("A=1\nc4n4ry== \nB=1\n", [2], "AB"),
        ("A=1\nc4n+4ry=\n", [2], "A"),
        ("c4n/4ry='x' x\nA=1\n", [1], "A"),
        *((PEM_ENDS.format(last), [2, 3, 4], "AB") for last in ("c4n4ry", "c4n4ry=", "c4n4ry==", "c4+n4ry=")),
        (PEM_ENDS.format("c4n4ry=").removeprefix("A="), [1, 2, 3, 4], "B"),
        (PEM_ENDS.format("c4n4ry=").replace("A=", "A='"), [1, 2, 3, 4], "B"),
        (PEM_ENDS.format("c4n4ry=").replace("\nMII", "\nProc-Type: 4,ENCRYPTED\n\nMII"), [2, 4, 5, 6], "AB"),
        ("A=-----BEGIN X-----\nB=1\nc4n4ry=\n", [], "AB"),
        ("A='-----BEGIN X-----\nMII=\n-----END X-----'\nc4n4ry=\n", [], "A"),
    ],
)
def test_lines_of_base64_are_no_keys(text: str, lines: list[int], kept: str) -> None:
    """Keys are shown in the preview; a part of a value must not become one. An empty value behind a plain name is taken."""
    read = read_env(text)
    assert read.problems == tuple((line, "KEY=value is expected here") for line in lines) or (
        "'-----" in text and [line for line, _ in read.problems] == lines
    )
    assert set(read.values) - {"c4n4ry"} == set(kept)
    assert ("c4n4ry" in read.values) == (not lines)
    assert "c4n4ry" not in repr(read_pasted(text).problems)


@pytest.mark.parametrize("value", ["=", "==", "=a", "a==", "-----BEGIN X-----", ""])
def test_values_that_resemble_base64_come_back(value: str) -> None:
    assert read_env(write_env({"A": value.encode(), "B": b""})).values == {"A": value.encode(), "B": b""}


def test_letters_of_keys() -> None:
    assert set(string.ascii_letters) <= set(
        "".join(read_env("\n".join(f"{c}=1" for c in string.ascii_letters)).values)
    )


@MANY
@given(st.dictionaries(NAMES, TEXTS, max_size=4))
def test_a_downloaded_env_text_is_imported_to_the_byte(texts: dict[str, str]) -> None:
    """The import tells the form of a text by its content: whatever the values hold, it is taken for a `.env` text."""
    values = {key: text.encode() for key, text in texts.items()}
    read = read_pasted(write_env(values))
    assert (read.values, read.problems) == (values, ())


@MANY
@given(st.dictionaries(st.text(min_size=1), st.one_of(st.binary(max_size=20), TEXTS.map(str.encode))))
def test_what_is_left_out_stays_behind_its_comment_whatever_its_name_holds(values: dict[str, bytes]) -> None:
    fitting = {key: value for key, value in values.items() if NAME.match(key) and text_of(value) is not None}
    with_odd = {**values, "line\nEVIL=1\r\u2028": b"x", "k" * 300: b"y"}
    node = Node("mapping", 0, 0, 1)
    entries = tuple(
        Entry(key, "data", 1, "plain", "", value, "", "", (node, node), node)
        for key, value in with_odd.items()
    )
    text = _env(OneSecret(0, "app", "", "Opaque", 1, entries, "", node), leave_out=True)
    comments = [line for line in text.split("\n") if line.startswith("# left out: ")]
    assert len(comments) == len(with_odd) - len(fitting)
    read = read_pasted(text)
    assert (read.values, read.problems) == (fitting, ())
    assert all(comment.isprintable() for comment in comments)
